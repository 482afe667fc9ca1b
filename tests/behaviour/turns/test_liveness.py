"""Whether an attempt is alive, by the log and the store's clock."""

from typing import Any

import pytest

from orchestrations.activities import look
from shared.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageStart,
    RunHandover,
    ToolCallStart,
)
from shared.domain.stored_documents import Lease, Message
from shared.domain.turn_events import turn_drafts
from shared.services.turns.endings import EndRequest
from shared.timings import ONE_MACHINE
from shared.wiring import Services
from tests.behaviour.conftest import Clock
from tests.behaviour.factories import activity_input, append_events, create_session, end_turn, post_message
from tests.domain.factories import OWNER, TRACE, active_turn

pytestmark = pytest.mark.anyio

START = MessageStart(step=1, attempt=1)
ANSWER = MessageComplete(step=1, attempt=1, text="")


@pytest.fixture
async def message(app: Services) -> Message:
    return await post_message(app, await create_session(app))


async def statuses(message: Message, *attempts: dict[str, Any]) -> list[str]:
    return (await look({"work": [activity_input(message, **each) for each in attempts or ({},)]}))["statuses"]


async def test_an_attempt_that_no_execution_has_begun_is_not_begun(message: Message) -> None:
    assert await statuses(message) == ["not_begun"]


async def test_an_attempt_is_alive_until_it_has_been_silent_for_too_long(
    app: Services, message: Message, clock: Clock
) -> None:
    await append_events(app, message.session_id, START)
    assert await statuses(message) == ["alive"]
    clock.move(ONE_MACHINE.lost_after)

    assert await statuses(message) == ["lost"]


async def test_an_attempt_that_appends_or_renews_its_lease_is_alive(
    app: Services, message: Message, clock: Clock
) -> None:
    writer = await append_events(app, message.session_id, START)
    clock.move(ONE_MACHINE.lost_after)
    await writer.append(turn_drafts(active_turn(writer.state), MessageDelta(step=1, attempt=1, text="x")))
    assert await statuses(message) == ["alive"]
    clock.move(ONE_MACHINE.lost_after)
    assert await statuses(message) == ["lost"]
    await app.log.put(message.session_id, Lease(id=writer.id))

    assert await statuses(message) == ["alive"]


async def test_other_writers_do_not_keep_an_attempt_alive(app: Services, message: Message, clock: Clock) -> None:
    await append_events(app, message.session_id, START)
    clock.move(ONE_MACHINE.lost_after)
    await post_message(app, message.session_id, "Next")
    await app.outside_events.append(OWNER, message.session_id, [("x", {})], TRACE)

    assert await statuses(message) == ["lost"]


async def test_an_attempt_is_not_begun_while_only_earlier_ones_have_begun(app: Services, message: Message) -> None:
    await append_events(app, message.session_id, START)

    assert await statuses(message, {"attempt": 2}, {"step": 2}) == ["not_begun", "not_begun"]


async def test_each_tool_call_is_checked_by_its_own_writer(app: Services, message: Message, clock: Clock) -> None:
    await append_events(app, message.session_id, START, ANSWER)
    await append_events(app, message.session_id, tool("call_a"))
    clock.move(ONE_MACHINE.lost_after)
    await append_events(app, message.session_id, tool("call_b"))
    calls = [{"call_id": f"call_{letter}"} for letter in "abc"]

    assert await statuses(message, *calls) == ["lost", "alive", "not_begun"]


def tool(call_id: str) -> ToolCallStart:
    return ToolCallStart(id=call_id, step=1, attempt=1, name="t", arguments="{}")


async def test_an_end_that_is_not_recorded_is_not_begun(app: Services, message: Message) -> None:
    await append_events(app, message.session_id, START, ANSWER)

    assert await statuses(message, {"step": 0, "ends": "completed"}) == ["not_begun"]


async def test_every_attempt_of_an_ended_turn_is_lost(app: Services, message: Message) -> None:
    await append_events(app, message.session_id, START)
    await end_turn(app, message, EndRequest("completed"))

    assert await statuses(message, {}, {"step": 0, "ends": "completed"}) == ["lost", "lost"]


async def test_every_attempt_of_an_instance_that_lost_its_turn_is_lost(app: Services, message: Message) -> None:
    await append_events(app, message.session_id, START, RunHandover(instance_id=f"{message.turn_id}~2"))

    assert await statuses(message) == ["lost"]


async def test_every_attempt_in_a_deleted_session_is_lost(app: Services, message: Message) -> None:
    await append_events(app, message.session_id, START)
    await app.sessions.delete(OWNER, message.session_id, TRACE)

    assert await statuses(message) == ["lost"]
