"""Checkpoints: a state that costs one request, and is behind while deltas follow it."""

import pytest

from tests.contract.factories import append_events, chunk, create_session, delta, session_id
from turnlog.domain.chunks import Draft
from turnlog.domain.errors import SequenceTakenError
from turnlog.domain.session import SessionState
from turnlog.ports import SessionLog
from turnlog.services.log.writer import Decision, SessionWriter
from turnlog.wiring import SystemClock

pytestmark = pytest.mark.anyio


async def being_answered(log: SessionLog) -> SessionState:
    """The newest state of a session whose newest events are deltas."""
    state = await create_session(log)
    for _ in range(3):
        state = await append_events(log, state, delta())
    return state


async def test_a_checkpoint_and_what_follows_it_is_the_state(log: SessionLog, elsewhere: SessionLog) -> None:
    newest = await being_answered(elsewhere)

    checkpoint = await log.checkpoint(newest.session_id)

    assert checkpoint is not None
    assert await log.catch_up(checkpoint) == await log.state(newest.session_id) == newest


async def test_an_append_after_a_checkpoint_that_is_behind_is_refused(log: SessionLog, elsewhere: SessionLog) -> None:
    created = await create_session(elsewhere)
    await append_events(elsewhere, created, delta())

    with pytest.raises(SequenceTakenError):
        await log.append(chunk(created.session_id, created.head, delta("late")))


async def test_no_session_has_no_checkpoint(log: SessionLog) -> None:
    assert await log.checkpoint(session_id()) is None


async def test_a_decision_that_appends_nothing_is_made_for_the_newest_state(
    log: SessionLog, elsewhere: SessionLog
) -> None:
    newest = await being_answered(elsewhere)

    async def decide(state: SessionState) -> Decision[int]:
        return Decision(state.head)

    assert await SessionWriter(log, SystemClock(), newest.session_id).transact(decide) == newest.head


async def test_an_error_is_raised_for_the_newest_state_only(log: SessionLog, elsewhere: SessionLog) -> None:
    newest = await being_answered(elsewhere)

    async def decide(state: SessionState) -> Decision[int]:
        if state.head < newest.head:
            raise ValueError("this state is behind")
        return Decision(state.head)

    assert await SessionWriter(log, SystemClock(), newest.session_id).transact(decide) == newest.head


async def test_a_writer_whose_checkpoint_is_behind_appends_after_the_newest_event(
    log: SessionLog, elsewhere: SessionLog
) -> None:
    newest = await being_answered(elsewhere)
    decided_at: list[int] = []

    async def decide(state: SessionState) -> Decision[int]:
        decided_at.append(state.head)
        return Decision(state.head, [Draft(data=delta("next"))])

    written_after = await SessionWriter(log, SystemClock(), newest.session_id).transact(decide)

    assert written_after == decided_at[-1] == newest.head
    assert (await log.read(newest.session_id, newest.head, 10))[0].first == newest.head + 1
