"""A parked turn: how it parks, expires and resumes, and what the sweep does after a lost start."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import (
    LOST_STARTS,
    DurableClient,
    activity_input,
    create_session,
    load_events,
    load_message,
    load_state,
    load_types,
    outcome_of,
    post_message,
    scheduler,
)
from tests.domain.factories import OWNER, TRACE
from turnlog.domain.actions import Resolution, denial
from turnlog.domain.ids import instance_of
from turnlog.domain.session import ActiveTurn
from turnlog.domain.stored_documents import Message, ToolResult
from turnlog.orchestrations.activities import call_model, finish_turn, park_turn, run_tool
from turnlog.orchestrations.timers import sweep
from turnlog.scheduler import TurnStart
from turnlog.services.turns.approvals import DecisionRequest
from turnlog.services.turns.cancelling import CancelRequest
from turnlog.timings import ONE_MACHINE
from turnlog.wiring import Services

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("model")]

DRAW = 'call draw_lots {"names": ["Ann"], "count": 1}'
APPROVAL = Resolution("approve", OWNER)


@pytest.fixture
def client() -> DurableClient:
    return DurableClient()


async def _park(work: dict[str, Any]) -> dict[str, Any]:
    return await park_turn(work, DurableClient())  # pyright: ignore[reportArgumentType]


async def swept(client: DurableClient) -> None:
    await sweep(client)  # pyright: ignore[reportArgumentType]


async def asking(app: Services, client: DurableClient, content: str = DRAW) -> tuple[Message, list[str]]:
    """A turn whose first step requested calls that have not run."""
    message = await post_message(app, await create_session(app), content, agent="raffle")
    client.known.add(message.turn_id)
    reply = await call_model(activity_input(message))
    return message, reply["call_ids"]


async def parked(app: Services, client: DurableClient, content: str = DRAW) -> tuple[Message, list[str]]:
    message, calls = await asking(app, client, content)
    assert [outcome_of(await run_tool(activity_input(message, call_id=call))) for call in calls] == ["waits"] * len(
        calls
    )
    assert outcome_of(await _park(activity_input(message, step=0))) == "parked"
    return message, calls


async def turn_of(app: Services, message: Message) -> ActiveTurn:
    turn = (await load_state(app, message.session_id)).active_turn
    assert turn is not None
    return turn


async def decide(app: Services, message: Message, call: str, resolution: Resolution = APPROVAL) -> None:
    """Decide, but lose the start of the turn's next instance."""
    await app.approvals.decide(OWNER, message.session_id, DecisionRequest({call: resolution}, TRACE), LOST_STARTS)


async def test_a_call_that_waits_appends_nothing(app: Services, client: DurableClient) -> None:
    message, (call,) = await asking(app, client)
    before = await load_types(app, message.session_id)

    assert outcome_of(await run_tool(activity_input(message, call_id=call))) == "waits"

    assert await load_types(app, message.session_id) == before


async def test_parking_twice_asks_once(app: Services, client: DurableClient) -> None:
    message, _ = await parked(app, client)

    replies = await asyncio.gather(*(_park(activity_input(message, step=0)) for _ in range(4)))

    assert {outcome_of(reply) for reply in replies} == {"parked"}
    assert len(await load_events(app, message.session_id, "tool_call.action_required")) == 1


async def test_a_turn_that_is_asked_to_stop_does_not_park(app: Services, client: DurableClient) -> None:
    message, _ = await asking(app, client)
    await app.cancelling.cancel(OWNER, message.session_id, CancelRequest(TRACE), LOST_STARTS)

    assert outcome_of(await _park(activity_input(message, step=0))) == "cancelled"
    assert await load_events(app, message.session_id, "tool_call.action_required") == []


async def test_an_instance_that_lost_its_turn_does_not_park_it(app: Services, client: DurableClient) -> None:
    message, _ = await asking(app, client)

    late = activity_input(message, step=0, instance_id=instance_of(message.turn_id, 2))

    assert outcome_of(await _park(late)) == "superseded"


async def test_a_parked_turn_is_left_alone_until_it_expires(app: Services, client: DurableClient, clock: Clock) -> None:
    message, _ = await parked(app, client)
    before = await load_types(app, message.session_id)
    clock.move(app.settings.approval_timeout - timedelta(seconds=1))
    await swept(client)

    assert client.started == []
    assert await load_types(app, message.session_id) == before


async def test_an_expired_call_is_denied_and_the_turn_resumes(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message, calls = await parked(app, client, f"{DRAW} and {DRAW}")
    await decide(app, message, calls[0])
    clock.move(app.settings.approval_timeout + ONE_MACHINE.start_grace)
    await asyncio.gather(*(swept(client) for _ in range(3)))

    assert (await load_types(app, message.session_id))[-3:] == [
        "tool_call.action",
        "tool_call.complete",
        "run.handover",
    ]
    result = await app.log.get(ToolResult, message.session_id, calls[1])
    assert result is not None
    assert (result.outcome.status, result.outcome.response) == ("denied", {"error": "The call was denied: expired"})
    (started,) = client.started
    assert started["instance_id"] == instance_of(message.turn_id, 2)


async def test_a_resumed_turn_has_its_full_time_and_continues_to_number_attempts(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message, (call,) = await parked(app, client)
    clock.move(timedelta(days=3))
    request = DecisionRequest({call: APPROVAL}, TRACE)
    await app.approvals.decide(OWNER, message.session_id, request, scheduler(app, client))

    (start,) = [TurnStart.model_validate(started) for started in client.started]
    assert (start.deadline, start.first_attempt) == (clock.now() + app.turn_timeout, 2)
    await swept(client)
    assert await load_events(app, message.session_id, "run.complete") == []


async def test_a_resumed_turn_whose_start_was_lost_is_started_by_the_sweep(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message, (call,) = await parked(app, client)
    clock.move(timedelta(days=3))
    await decide(app, message, call)
    clock.move(ONE_MACHINE.start_grace)
    await swept(client)
    await swept(client)

    (started,) = client.started
    assert started["instance_id"] == instance_of(message.turn_id, 2)
    assert len(await load_events(app, message.session_id, "run.handover")) == 1


async def test_a_resumed_turn_is_handed_over_after_the_first_interval(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message, (call,) = await parked(app, client)
    await decide(app, message, call)
    client.known.add(instance_of(message.turn_id, 2))
    clock.move(ONE_MACHINE.handover_after)
    await swept(client)

    assert [each["instance_id"] for each in client.started] == [instance_of(message.turn_id, 3)]


async def test_an_approved_call_is_run_by_the_next_instance_and_by_no_other(
    app: Services, client: DurableClient
) -> None:
    message, (call,) = await parked(app, client)
    await decide(app, message, call)
    second = instance_of(message.turn_id, 2)

    assert outcome_of(await run_tool(activity_input(message, call_id=call))) == "superseded"
    repeated = activity_input(message, attempt=2, instance_id=second)
    assert (await call_model(repeated))["call_ids"] == [call]
    assert outcome_of(await run_tool(activity_input(message, call_id=call, attempt=2, instance_id=second))) == "done"

    (complete,) = await load_events(app, message.session_id, "tool_call.complete")
    assert complete.data.model_dump()["response"] == ["Ann"]


async def test_a_denied_call_is_answered_without_being_run(app: Services, client: DurableClient) -> None:
    message, (call,) = await parked(app, client)
    await decide(app, message, call, denial(OWNER, "no"))
    second = instance_of(message.turn_id, 2)

    assert outcome_of(await run_tool(activity_input(message, call_id=call, attempt=2, instance_id=second))) == "done"

    assert await load_events(app, message.session_id, "tool_call.start") == []


async def test_an_instance_that_repeats_an_earlier_step_runs_none_of_its_tools(
    app: Services, client: DurableClient
) -> None:
    message, (call,) = await parked(app, client)
    await decide(app, message, call)
    second = instance_of(message.turn_id, 2)
    await run_tool(activity_input(message, call_id=call, attempt=2, instance_id=second))
    await post_message(app, message.session_id, "Next")
    await call_model(activity_input(message, step=2, attempt=2, instance_id=second))

    assert outcome_of(await run_tool(activity_input(message, call_id=call, attempt=3, instance_id=second))) == "done"

    assert len(await load_events(app, message.session_id, "tool_call.start")) == 1


async def test_a_parked_turn_that_is_cancelled_and_whose_start_was_lost_is_ended(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message, (call,) = await parked(app, client)
    await app.cancelling.cancel(OWNER, message.session_id, CancelRequest(TRACE), LOST_STARTS)
    clock.move(ONE_MACHINE.start_grace)
    await swept(client)
    (started,) = client.started
    second = started["instance_id"]
    assert second == instance_of(message.turn_id, 2)
    assert not (await turn_of(app, message)).parked

    assert outcome_of(await call_model(activity_input(message, attempt=2, instance_id=second))) == "tools"
    assert (
        outcome_of(await run_tool(activity_input(message, call_id=call, attempt=2, instance_id=second))) == "cancelled"
    )
    ends = activity_input(message, step=0, instance_id=second, ends="cancelled")
    await finish_turn(ends, client)  # pyright: ignore[reportArgumentType]

    assert (await load_message(app, message)).status == "cancelled"
    (complete,) = await load_events(app, message.session_id, "tool_call.complete")
    assert complete.data.model_dump()["status"] == "cancelled"


async def test_a_second_cancel_of_a_parked_turn_adds_nothing(app: Services, client: DurableClient) -> None:
    message, _ = await parked(app, client)
    for _ in range(2):
        await app.cancelling.cancel(OWNER, message.session_id, CancelRequest(TRACE), LOST_STARTS)

    types = await load_types(app, message.session_id)
    assert (types.count("status"), types.count("run.handover")) == (1, 1)
