"""What a dead process left is repaired, and what is alive is left alone."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import (
    DurableClient,
    append_events,
    cancel_turn,
    create_session,
    load_events,
    load_message,
    load_state,
    load_types,
    post_message,
)
from tests.domain.factories import OWNER, TRACE, active_turn
from turnlog.domain.chunks import (
    Chunk,
    Draft,
)
from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageStart,
    RunStart,
    ToolCallComplete,
    ToolCallStart,
    UserMessage,
)
from turnlog.domain.ids import MessageId, SessionId, TurnId, instance_of
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import Lease, Message
from turnlog.domain.turn_events import turn_drafts
from turnlog.orchestrations.timers import clear, sweep
from turnlog.scheduler import TurnStart
from turnlog.services.log.writer import SessionWriter
from turnlog.timings import ONE_MACHINE
from turnlog.wiring import Services

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("model")]

GRACE = ONE_MACHINE.start_grace
SILENCE = ONE_MACHINE.begin_after
START = MessageStart(step=1, attempt=1)
WORD = MessageDelta(step=1, attempt=1, text="word")


@pytest.fixture
def client() -> DurableClient:
    return DurableClient()


async def swept(client: DurableClient) -> None:
    await sweep(client)  # pyright: ignore[reportArgumentType]


def instances(client: DurableClient) -> list[str]:
    return [payload["instance_id"] for payload in client.started]


async def running(app: Services, client: DurableClient) -> Message:
    """A turn whose instance was started."""
    message = await post_message(app, await create_session(app))
    client.known.add(message.turn_id)
    return message


async def test_a_turn_that_was_claimed_but_never_started_is_started(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await post_message(app, await create_session(app))
    before = await load_types(app, message.session_id)
    clock.move(GRACE)
    await swept(client)
    await swept(client)

    start = TurnStart(
        session_id=message.session_id,
        turn_id=message.turn_id,
        instance_id=instance_of(message.turn_id, 1),
        deadline=message.created_at + app.turn_timeout,
        max_steps=app.settings.max_steps,
        retry_seconds=ONE_MACHINE.retry_pause.total_seconds(),
        max_retry_seconds=ONE_MACHINE.max_retry_pause.total_seconds(),
        trace_id=message.trace_id,
    )
    assert [TurnStart.model_validate(started) for started in client.started] == [start]
    assert await load_types(app, message.session_id) == before


async def test_a_turn_that_was_claimed_just_now_is_not_started(app: Services, client: DurableClient) -> None:
    await post_message(app, await create_session(app))
    await swept(client)

    assert client.started == []


async def test_a_failed_start_is_repeated_by_the_next_sweep(app: Services, client: DurableClient, clock: Clock) -> None:
    message = await post_message(app, await create_session(app))
    clock.move(GRACE)
    client.broken = True
    await swept(client)
    client.broken = False
    await swept(client)

    assert instances(client) == [message.turn_id]


async def test_a_turn_that_is_alive_is_not_touched(app: Services, client: DurableClient, clock: Clock) -> None:
    message = await running(app, client)
    before = await load_types(app, message.session_id)
    clock.move(SILENCE - timedelta(seconds=1))
    await swept(client)

    assert client.started == []
    assert await load_types(app, message.session_id) == before


async def test_a_turn_that_appends_deltas_is_alive_however_old_its_checkpoint_is(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    writer = await append_events(app, message.session_id, START)
    clock.move(3 * SILENCE)
    await writer.append(turn_drafts(active_turn(writer.state), WORD))
    await swept(client)

    assert await load_events(app, message.session_id, "run.handover") == []


async def test_a_turn_that_is_being_answered_is_not_started_again(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await post_message(app, await create_session(app))
    clock.move(3 * GRACE)
    await append_events(app, message.session_id, START)
    await swept(client)

    assert client.started == []


async def test_a_turn_whose_attempt_renews_its_lease_is_alive(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    writer = await append_events(app, message.session_id, START)
    clock.move(3 * SILENCE)
    await app.log.put(message.session_id, Lease(id=writer.id))
    await swept(client)

    assert await load_events(app, message.session_id, "run.handover") == []


async def test_a_silent_attempt_is_handed_over_sooner_than_a_turn_that_waits_in_a_queue(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    attempted, waiting = await running(app, client), await running(app, client)
    await append_events(app, attempted.session_id, START)
    clock.move(ONE_MACHINE.lost_after)
    await swept(client)

    assert instances(client) == [f"{attempted.turn_id}~2"]
    assert await load_events(app, waiting.session_id, "run.handover") == []


async def test_a_tool_that_answers_does_not_keep_a_silent_one_alive_and_a_living_one_does(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    await append_events(app, message.session_id, START, MessageComplete(step=1, attempt=1, text=""))
    first = await append_events(app, message.session_id, tool_start("a"))
    second = await append_events(app, message.session_id, tool_start("b"))
    clock.move(ONE_MACHINE.lost_after)
    await app.log.put(message.session_id, Lease(id=first.id))
    await swept(client)
    assert client.started == []
    answer = ToolCallComplete(id="a", step=1, name="t", arguments="{}", status="completed", duration_ms=1)
    await first.load()
    await first.append(turn_drafts(active_turn(first.state), answer))
    clock.move(ONE_MACHINE.lost_after)
    await swept(client)

    assert instances(client) == [f"{message.turn_id}~2"]
    assert second.id != first.id


async def test_events_from_outside_do_not_keep_a_silent_attempt_alive(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    await append_events(app, message.session_id, START)
    clock.move(ONE_MACHINE.lost_after)
    await app.outside_events.append(OWNER, message.session_id, [("x", {})], TRACE)
    await post_message(app, message.session_id, "Next")
    await swept(client)

    assert instances(client) == [f"{message.turn_id}~2"]


async def test_after_an_outage_attempts_get_time_to_write_before_they_are_lost(
    app: Services, client: DurableClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await running(app, client)
    await append_events(app, message.session_id, START)
    clock.move(3 * ONE_MACHINE.lost_after)

    async def unavailable(*_: Any) -> AsyncGenerator[None]:
        raise StoreUnavailableError("The store is away.")
        yield

    with monkeypatch.context() as outage:
        outage.setattr(app.log, "due_for_repair", unavailable)
        with pytest.raises(StoreUnavailableError):
            await swept(client)
    await swept(client)
    assert client.started == []
    clock.move(ONE_MACHINE.lost_after)
    await swept(client)

    assert instances(client) == [f"{message.turn_id}~2"]


async def test_a_clock_that_is_wrong_makes_no_turn_silent(
    app: Services, client: DurableClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await running(app, client)
    await append_events(app, message.session_id, START)
    late = clock.now() + timedelta(minutes=10)
    monkeypatch.setattr(app.repair.clock, "now", lambda: late)
    await swept(client)

    assert (client.started, await load_events(app, message.session_id, "run.handover")) == ([], [])


async def test_a_silent_turn_is_handed_to_another_instance(app: Services, client: DurableClient, clock: Clock) -> None:
    message = await running(app, client)
    for attempt in (1, 2):
        await append_events(app, message.session_id, MessageStart(step=1, attempt=attempt))
    clock.move(SILENCE)
    await swept(client)

    turn = (await load_state(app, message.session_id)).active_turn
    assert turn is not None
    assert (turn.instance_id, turn.generation) == (f"{message.turn_id}~2", 2)
    (started,) = client.started
    assert (started["instance_id"], started["first_attempt"]) == (turn.instance_id, 3)
    assert TurnStart.model_validate(started).deadline == message.created_at + app.turn_timeout


async def test_a_turn_whose_instance_ended_is_handed_over_at_once(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message, waiting = await running(app, client), await running(app, client)
    client.ended.add(message.turn_id)
    clock.move(GRACE)
    await swept(client)

    assert instances(client) == [f"{message.turn_id}~2"]
    assert await load_events(app, waiting.session_id, "run.handover") == []


async def test_a_turn_whose_instances_all_end_at_once_is_replaced_less_and_less_and_ends(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    while (turn := (await load_state(app, message.session_id)).active_turn) is not None:
        client.ended |= client.known
        clock.move(timedelta(seconds=20))
        await swept(client)
        assert clock.now() < turn.running_since + app.turn_timeout + 2 * SILENCE

    assert len(client.started) <= 12
    lost = await load_message(app, message)
    assert lost.error is not None
    assert lost.error.code == "turn_lost"


async def test_a_turn_that_waits_for_a_place_keeps_it(app: Services, client: DurableClient, clock: Clock) -> None:
    message = await running(app, client)
    for _ in range(4):
        clock.move(timedelta(minutes=1))
        await swept(client)

    assert client.started == []
    assert (await load_state(app, message.session_id)).ui_state == "running"


async def test_a_silent_turn_is_stalled_until_its_next_instance_begins(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    clock.move(SILENCE)
    await swept(client)
    assert (await load_types(app, message.session_id))[-2:] == ["status", "run.handover"]
    assert (await load_state(app, message.session_id)).ui_state == "stalled"
    await append_events(app, message.session_id, START)

    assert (await load_state(app, message.session_id)).ui_state == "running"


async def test_a_turn_that_stays_silent_is_called_stalled_once(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    for _ in range(2):
        clock.move(2 * SILENCE)
        await swept(client)

    types = await load_types(app, message.session_id)
    assert (types.count("status"), types.count("run.handover")) == (1, 2)


async def test_the_silence_before_a_handover_doubles_each_time(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    handovers: list[int] = []
    for tenth in range(1, 40):
        clock.move(SILENCE / 10)
        before = len(client.started)
        await swept(client)
        handovers += [tenth] if len(client.started) > before else []

    assert handovers == [10, 30]
    assert instances(client) == [f"{message.turn_id}~{generation}" for generation in (2, 3)]


async def test_a_handover_whose_instance_was_not_started_is_not_handed_over_again(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    clock.move(SILENCE)
    client.broken = True
    await swept(client)
    client.broken = False
    clock.move(GRACE)
    await swept(client)

    assert instances(client) == [f"{message.turn_id}~2"]
    assert len(await load_events(app, message.session_id, "run.handover")) == 1


async def test_a_turn_that_is_silent_beyond_its_deadline_is_lost_and_the_next_begins(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    following = await post_message(app, message.session_id, "Next")
    clock.move(app.turn_timeout + SILENCE + timedelta(seconds=1))
    await swept(client)

    lost = await load_message(app, message)
    assert lost.error is not None
    assert (lost.status, lost.error.code) == ("failed", "turn_lost")
    assert instances(client) == [following.turn_id]
    assert TurnStart.model_validate(client.started[0]).deadline == clock.now() + app.turn_timeout


async def test_a_lost_turn_that_was_asked_to_stop_ends_as_cancelled(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    await cancel_turn(app, message)
    clock.move(app.turn_timeout + SILENCE + timedelta(seconds=1))
    await swept(client)

    assert (await load_message(app, message)).status == "cancelled"


async def test_an_overdue_turn_that_is_alive_is_left_to_end_itself(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    writer = await append_events(app, message.session_id, START)
    clock.move(app.turn_timeout + SILENCE + timedelta(seconds=1))
    await app.log.put(message.session_id, Lease(id=writer.id))
    await swept(client)

    assert await load_events(app, message.session_id, "run.complete") == []


async def test_a_deleted_session_is_cleared_except_for_its_mark(app: Services, client: DurableClient) -> None:
    message = await running(app, client)
    await app.sessions.delete(OWNER, message.session_id, TRACE)
    await clear(DurableClient())  # pyright: ignore[reportArgumentType]

    assert await app.log.read(message.session_id, 0, 10) == []
    assert await app.log.get(Message, message.session_id, message.id) is None
    assert (await load_state(app, message.session_id)).deleted
    assert [each async for each in app.log.due_for_clearing(app.clock.now())] == []


async def test_sessions_in_which_nothing_runs_are_left_alone(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    session = await create_session(app)
    clock.move(timedelta(days=1))
    await swept(client)

    assert client.started == []
    assert await load_types(app, session) == ["session.created"]


async def test_of_sweeps_at_the_same_time_one_hands_a_turn_over(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    clock.move(SILENCE)
    await asyncio.gather(*(swept(client) for _ in range(4)))

    assert len(await load_events(app, message.session_id, "run.handover")) == 1
    assert instances(client) == [f"{message.turn_id}~2"]


async def test_sweeps_at_the_same_time_start_a_turn_once_and_end_a_lost_one_once(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    lost = await running(app, client)
    clock.move(app.turn_timeout + SILENCE + timedelta(seconds=1))
    claimed = await post_message(app, await create_session(app))
    clock.move(GRACE)
    await asyncio.gather(*(swept(client) for _ in range(4)))

    assert instances(client) == [claimed.turn_id]
    assert len(await load_events(app, lost.session_id, "run.complete")) == 1


async def test_a_turn_that_answers_during_the_sweep_is_not_handed_over(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    message = await running(app, client)
    await append_events(app, message.session_id, START)
    clock.move(ONE_MACHINE.lost_after)
    append = app.log.append

    async def answered_first(chunk: Chunk, *rest: object) -> None:
        app.log.append = append  # pyright: ignore[reportAttributeAccessIssue]
        await append_events(app, message.session_id, MessageComplete(step=1, attempt=1, text="Hi"))
        await append(chunk, *rest)  # pyright: ignore[reportArgumentType]

    app.log.append = answered_first  # pyright: ignore[reportAttributeAccessIssue]
    await swept(client)

    assert (await load_types(app, message.session_id))[-1] == "message.complete"
    assert client.started == []


async def test_a_session_that_cannot_be_repaired_does_not_block_the_others(
    app: Services, client: DurableClient, clock: Clock
) -> None:
    broken = await create_session(app)
    writer = SessionWriter(app.log, app.clock, broken)
    await writer.load()
    turn, missing = TurnId("turn_x"), MessageId(f"msg_{'0' * 26}_{broken}")
    beginning = [UserMessage(content="Hello"), RunStart(agent="assistant", model="m")]
    await writer.append([Draft(data=data, turn_id=turn, message_id=missing) for data in beginning])
    clock.move(app.turn_timeout)
    message = await post_message(app, await create_session(app))
    clock.move(SILENCE + timedelta(seconds=1))
    await swept(client)

    assert instances(client) == [f"{message.turn_id}~2"]


async def test_many_sessions_that_cannot_be_repaired_keep_none_waiting_and_are_tried_less_often(
    app: Services, client: DurableClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [await running(app, client) for _ in range(510)]
    clock.move(SILENCE)
    message = await running(app, client)
    ids, tried = {each.session_id for each in broken}, list[str]()
    state = app.log.state

    async def failing(session_id: SessionId) -> SessionState | None:
        tried.append(session_id)
        if session_id in ids:
            raise ValueError("It cannot be repaired.")
        return await state(session_id)

    monkeypatch.setattr(app.log, "state", failing)
    clock.move(SILENCE)
    await swept(client)
    await swept(client)

    assert instances(client) == [f"{message.turn_id}~2"]
    assert [tried.count(each) for each in ids] == [1] * len(ids)


async def test_deleted_sessions_keep_no_turn_waiting(app: Services, client: DurableClient, clock: Clock) -> None:
    for _ in range(3):
        await app.sessions.delete(OWNER, await create_session(app), TRACE)
    message = await running(app, client)
    clock.move(SILENCE)
    await swept(client)

    assert instances(client) == [f"{message.turn_id}~2"]


def tool_start(call_id: str) -> ToolCallStart:
    return ToolCallStart(id=call_id, step=1, attempt=1, name="t", arguments="{}")
