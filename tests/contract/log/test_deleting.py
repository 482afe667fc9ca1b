"""A deleted session: its tombstone stays, suspended writers are refused, and clearing keeps only the tombstone."""

import pytest

from tests.contract.factories import (
    LATER,
    RUN,
    append_events,
    collect,
    create_session,
    delta,
    message,
    read_all,
    sequences,
)
from turnlog.domain.errors import SequenceTakenError
from turnlog.domain.events import SessionDeleted, UserMessage
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import IdempotencyRecord, Lease, Message, MessageParts
from turnlog.ports import SessionLog

pytestmark = pytest.mark.anyio


async def _delete_session(log: SessionLog) -> tuple[SessionState, SessionState]:
    """A session that was deleted during a turn: the state that its writer knows, and its tombstone."""
    state = await create_session(log)
    state = await append_events(
        log, state, UserMessage(content="Hello"), RUN, documents=[message(state, 1, 2), message(state, 2, 3)]
    )
    return state, await append_events(log, state, SessionDeleted())


async def test_a_deleted_session_stays_as_a_mark(log: SessionLog) -> None:
    _, tombstone = await _delete_session(log)

    assert tombstone.deleted
    assert await log.state(tombstone.session_id) == tombstone


async def test_a_writer_that_was_suspended_during_the_deletion_is_refused(log: SessionLog) -> None:
    before, tombstone = await _delete_session(log)

    with pytest.raises(SequenceTakenError):
        await append_events(log, before, delta("late"))
    with pytest.raises(SequenceTakenError):
        await append_events(log, before, UserMessage(content="late"), RUN)

    assert await log.state(tombstone.session_id) == tombstone
    assert sequences(await read_all(log, tombstone.session_id)) == [1, 2, 3, 4]


async def test_the_id_of_a_deleted_session_cannot_be_used_again(log: SessionLog) -> None:
    _, tombstone = await _delete_session(log)

    with pytest.raises(SequenceTakenError):
        await create_session(log, tombstone.session_id)


async def test_clearing_leaves_only_the_mark(log: SessionLog) -> None:
    before, tombstone = await _delete_session(log)
    await log.put(tombstone.session_id, Lease(id="lease"))
    await log.put(tombstone.session_id, MessageParts(id="parts", parts=()))
    await log.put(tombstone.session_id, IdempotencyRecord(id="key", body_hash="hash", result="msg_1"))

    await log.clear(tombstone.session_id)

    assert await read_all(log, tombstone.session_id) == []
    assert await log.find(Message, tombstone.session_id, limit=10) == []
    assert await log.get(Message, tombstone.session_id, message(before, 1, 2).id) is None
    assert await log.get(Lease, tombstone.session_id, "lease") is None
    assert await log.get(MessageParts, tombstone.session_id, "parts") is None
    assert await log.get(IdempotencyRecord, tombstone.session_id, "key") is None
    assert await log.state(tombstone.session_id) == tombstone


async def test_a_cleared_session_is_no_longer_due_for_clearing(log: SessionLog) -> None:
    _, tombstone = await _delete_session(log)
    assert tombstone in await collect(log.due_for_clearing(LATER))

    await log.clear(tombstone.session_id)

    assert tombstone not in await collect(log.due_for_clearing(LATER))


async def test_clearing_may_be_repeated_and_changes_no_other_session(log: SessionLog, elsewhere: SessionLog) -> None:
    neighbour = await create_session(log)
    _, tombstone = await _delete_session(log)

    await log.clear(tombstone.session_id)
    await elsewhere.clear(tombstone.session_id)

    assert await log.state(tombstone.session_id) == tombstone
    assert sequences(await read_all(log, neighbour.session_id)) == [1]


async def test_a_long_log_is_cleared(log: SessionLog) -> None:
    state = await create_session(log)
    for _ in range(250):
        state = await append_events(log, state, delta())
    tombstone = await append_events(log, state, SessionDeleted())

    await log.clear(tombstone.session_id)

    assert await read_all(log, tombstone.session_id) == []
    assert tombstone not in await collect(log.due_for_clearing(LATER))


@pytest.mark.needs("a tombstone that refuses writers")
async def test_a_writer_that_slept_through_the_clearing_is_refused(log: SessionLog) -> None:
    before, tombstone = await _delete_session(log)
    await log.clear(tombstone.session_id)

    with pytest.raises(SequenceTakenError):
        await append_events(log, before, delta("late"))
    with pytest.raises(SequenceTakenError):
        await create_session(log, tombstone.session_id)

    assert await read_all(log, tombstone.session_id) == []
