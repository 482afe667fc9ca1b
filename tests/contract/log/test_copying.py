"""A fork that is being copied is hidden and accepts its writer. The sweep finds it if the copy is never finished."""

from datetime import timedelta

import pytest

from tests.contract.factories import RUN, THEN, append_events, collect, create_session, delta
from turnlog.domain.errors import SequenceTakenError
from turnlog.domain.events import ForkedFrom, SessionCreated, SessionDeleted
from turnlog.domain.ids import PublicId, SessionId, new_session_id, new_writer_id, owner_hash
from turnlog.domain.listing import SessionFilter
from turnlog.domain.session import SessionState
from turnlog.ports import SessionLog

pytestmark = pytest.mark.anyio

LATE = THEN + timedelta(hours=26)


async def _create_fork(log: SessionLog) -> SessionState:
    forked_from = ForkedFrom(session_id=PublicId("ses_source"), sequence=3)
    data = SessionCreated(thread_id="thread", owner=new_writer_id(), forked_from=forked_from)
    return await create_session(log, new_session_id(data.owner, THEN), **data.model_dump(exclude={"type"}))


async def _listed(log: SessionLog, state: SessionState) -> list[SessionId]:
    wanted = SessionFilter(owner=owner_hash(state.owner))
    return [each.session_id for each in await log.sessions(wanted, before=None, limit=10)]


async def _due(log: SessionLog, state: SessionState, after: timedelta) -> bool:
    return state.session_id in {each.session_id for each in await collect(log.due_for_clearing(THEN + after))}


async def test_a_fork_is_listed_once_its_copy_is_complete(log: SessionLog, elsewhere: SessionLog) -> None:
    state = await _create_fork(log)
    assert await elsewhere.state(state.session_id) == state
    state = await append_events(log, state, delta())
    assert (await _listed(elsewhere, state), state.is_complete) == ([], False)

    state = await append_events(log, state, RUN)

    assert (await _listed(elsewhere, state), state.is_complete) == ([state.session_id], True)
    assert await elsewhere.state(state.session_id) == state


async def test_a_fork_that_stays_incomplete_is_due_for_clearing_after_a_day(log: SessionLog) -> None:
    state = await _create_fork(log)

    assert not await _due(log, state, timedelta(hours=24))
    assert await _due(log, state, timedelta(hours=26))


async def test_a_fork_that_was_deleted_refuses_appends_and_is_never_listed(log: SessionLog) -> None:
    state = await _create_fork(log)
    ended = await append_events(log, state, SessionDeleted(), at=LATE)

    with pytest.raises(SequenceTakenError):
        await append_events(log, state, delta())

    assert (await _listed(log, state), ended.is_complete) == ([], False)
    await log.clear(state.session_id)
    assert not await _due(log, state, timedelta(days=30))
