"""Whether an attempt is alive, by the log and the store's clock."""

from typing import Any

import pytest

from orchestrations.activities import look
from shared.domain.documents import Lease, Message
from shared.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageStart,
    RunHandover,
    ToolCallStart,
)
from shared.domain.turn_events import turn_drafts
from shared.services.turns.endings import EndRequest
from shared.timings import ONE_MACHINE
from shared.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.telling import OWNER, TRACE, active_turn, appended, end_turn, opened, posted, work

pytestmark = pytest.mark.anyio

START = MessageStart(step=1, attempt=1)
ANSWER = MessageComplete(step=1, attempt=1, text="")


@pytest.fixture
async def message(on: Services) -> Message:
    return await posted(on, await opened(on))


async def verdicts(message: Message, *attempts: dict[str, Any]) -> list[str]:
    return (await look({"work": [work(message, **each) for each in attempts or ({},)]}))["verdicts"]


async def test_an_attempt_that_no_execution_has_begun_is_not_begun(message: Message) -> None:
    assert await verdicts(message) == ["not_begun"]


async def test_an_attempt_is_alive_until_it_has_been_silent_for_too_long(
    on: Services, message: Message, clock: Clock
) -> None:
    await appended(on, message.session_id, START)
    assert await verdicts(message) == ["alive"]
    clock.move(ONE_MACHINE.dead_after)

    assert await verdicts(message) == ["lost"]


async def test_an_attempt_that_appends_or_renews_its_lease_is_alive(
    on: Services, message: Message, clock: Clock
) -> None:
    writer = await appended(on, message.session_id, START)
    clock.move(ONE_MACHINE.dead_after)
    await writer.append(turn_drafts(active_turn(writer.state), MessageDelta(step=1, attempt=1, text="x")))
    assert await verdicts(message) == ["alive"]
    clock.move(ONE_MACHINE.dead_after)
    assert await verdicts(message) == ["lost"]
    await on.log.put(message.session_id, Lease(id=writer.id))

    assert await verdicts(message) == ["alive"]


async def test_other_writers_do_not_keep_an_attempt_alive(on: Services, message: Message, clock: Clock) -> None:
    await appended(on, message.session_id, START)
    clock.move(ONE_MACHINE.dead_after)
    await posted(on, message.session_id, "Next")
    await on.events.append(OWNER, message.session_id, [("x", {})], TRACE)

    assert await verdicts(message) == ["lost"]


async def test_an_attempt_is_not_begun_while_only_earlier_ones_have_begun(on: Services, message: Message) -> None:
    await appended(on, message.session_id, START)

    assert await verdicts(message, {"attempt": 2}, {"step": 2}) == ["not_begun", "not_begun"]


async def test_each_tool_call_is_checked_by_its_own_writer(on: Services, message: Message, clock: Clock) -> None:
    await appended(on, message.session_id, START, ANSWER)
    await appended(on, message.session_id, tool("call_a"))
    clock.move(ONE_MACHINE.dead_after)
    await appended(on, message.session_id, tool("call_b"))
    calls = [{"call_id": f"call_{letter}"} for letter in "abc"]

    assert await verdicts(message, *calls) == ["lost", "alive", "not_begun"]


def tool(call_id: str) -> ToolCallStart:
    return ToolCallStart(id=call_id, step=1, attempt=1, name="t", arguments="{}")


async def test_an_end_that_is_not_recorded_is_not_begun(on: Services, message: Message) -> None:
    await appended(on, message.session_id, START, ANSWER)

    assert await verdicts(message, {"step": 0, "ends": "completed"}) == ["not_begun"]


async def test_every_attempt_of_an_ended_turn_is_lost(on: Services, message: Message) -> None:
    await appended(on, message.session_id, START)
    await end_turn(on, message, EndRequest("completed"))

    assert await verdicts(message, {}, {"step": 0, "ends": "completed"}) == ["lost", "lost"]


async def test_every_attempt_of_an_instance_that_lost_its_turn_is_lost(on: Services, message: Message) -> None:
    await appended(on, message.session_id, START, RunHandover(instance_id=f"{message.turn_id}~2"))

    assert await verdicts(message) == ["lost"]


async def test_every_attempt_in_a_deleted_session_is_lost(on: Services, message: Message) -> None:
    await appended(on, message.session_id, START)
    await on.sessions.delete(OWNER, message.session_id, TRACE)

    assert await verdicts(message) == ["lost"]
