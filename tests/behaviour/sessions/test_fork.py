"""Forks: what is copied, under which ids, and what happens to an incomplete copy."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import DurableClient, create_session, load_state, post_message
from tests.behaviour.turns.test_whole_turns import PROMPT, run
from tests.contract.factories import read_all
from tests.contract.strategies import SESSION, logs, upto
from tests.domain.factories import OWNER, TRACE
from turnlog.domain.chunks import Chunk
from turnlog.domain.errors import (
    IdempotencyKeyReusedError,
    SessionDeletedError,
    SessionNotFoundError,
    StoreUnavailableError,
)
from turnlog.domain.events import ForkedFrom
from turnlog.domain.fold import fold
from turnlog.domain.fork import Fork
from turnlog.domain.ids import (
    MessageId,
    SessionId,
    TurnId,
    WriterId,
    instance_of,
    owner_hash,
    public_id,
    session_of,
    turn_of,
)
from turnlog.domain.listing import SessionFilter
from turnlog.domain.rooms import Room
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import AnyDocument
from turnlog.domain.values import Usage
from turnlog.orchestrations.timers import clear
from turnlog.ports import ModelClient, SessionLog
from turnlog.services.fork import ForkRequest, Forks
from turnlog.services.log.idempotency import IdempotencyKey
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

REQUEST = ForkRequest(TRACE)
KEY = IdempotencyKey("0123456789abcdef" * 4, "body")
COPY = SessionId("ses_copy")


@given(logs(), st.data())
def test_a_fork_is_the_log_up_to_the_cut_under_other_ids(chunks: list[Chunk], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, chunks[-1].last))
    fork = Fork(SESSION, COPY, cut)

    copies = [fork.copy_chunk(chunk, WriterId("w")) for chunk in chunks if chunk.first <= cut]

    before = [event for chunk in chunks for event in chunk.events if event.sequence <= cut]
    after = [event for chunk in copies for event in chunk.events]
    unchanged = [(event.sequence, event.timestamp, event.trace_id, event.type) for event in before]
    assert [(event.sequence, event.timestamp, event.trace_id, event.type) for event in after] == unchanged
    for ids in ("turn_id", "message_id"):
        pairs = {(getattr(old, ids), getattr(new, ids)) for old, new in zip(before, after, strict=True)}
        assert len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})
        assert not {old for old, _ in pairs} & {new for _, new in pairs}
    state, original = fold(None, copies), fold(None, upto(chunks, cut))
    assert state is not None
    assert original is not None
    assert (state.session_id, state.head, state.usage) == (COPY, cut, Usage())
    same = {
        "status",
        "owner",
        "metadata",
        "archived",
        "session_name",
        "deleted",
        "result_sequence",
        "run_meta",
        "diagnosis",
    }
    assert all(getattr(state, name) == getattr(original, name) for name in same)
    assert len(state.queue) == len(original.queue)


def test_the_new_ids_refer_to_each_other_as_the_old_ones_did() -> None:
    message = MessageId(f"msg_01HZZZZZZZABCDEFGHJKMNPQRS_{SESSION}")
    fork = Fork(SESSION, COPY, 1)

    assert session_of(fork.message_id(message)) == COPY
    assert turn_of(fork.message_id(message)) == fork.turn_id(turn_of(message)) != turn_of(message)
    assert fork.message_id(message)[:14] == message[:14]
    assert instance_of(fork.turn_id(TurnId("turn_1")), 2).endswith("~2")


class _InterruptedLog:
    """A log that counts writes, and calls `interrupt` before write number `at`."""

    def __init__(self, log: SessionLog, at: int = 0, interrupt: Callable[[], Awaitable[object]] | None = None) -> None:
        self._log = log
        self._at = at
        self._interrupt = interrupt
        self.writes = 0
        self.copies: set[SessionId] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, chunk: Chunk, *more: Any) -> None:
        await self._count_write()
        self.copies.add(chunk.session_id)
        await self._log.append(chunk, *more)

    async def put(self, session_id: SessionId, document: AnyDocument) -> None:
        await self._count_write()
        await self._log.put(session_id, document)

    async def _count_write(self) -> None:
        self.writes += 1
        if self.writes == self._at and self._interrupt is not None:
            await self._interrupt()


async def _die() -> None:
    raise StoreUnavailableError("The process dies here.")


def _forks(app: Services, log: _InterruptedLog) -> Forks:
    return Forks(cast("SessionLog", log), app.clock)


async def _conversation(app: Services) -> SessionId:
    session = await create_session(app)
    await run(await post_message(app, session, PROMPT), DurableClient())
    await run(await post_message(app, session, "large " * 10_000), DurableClient())
    return session


async def test_a_fork_interrupted_at_any_write_is_completed_by_a_retry(app: Services, model: ModelClient) -> None:
    source = await _conversation(app)
    counting = _InterruptedLog(app.log)
    whole_fork, _ = await _forks(app, counting).fork(OWNER, source, REQUEST)
    expected = (await app.messages.list(OWNER, whole_fork.session_id, after=None, limit=10, newest=False)).messages
    end = whole_fork.head
    await run(await post_message(app, source, "the log goes on"), DurableClient())
    request = ForkRequest(TRACE, at_sequence=end)

    for at in range(1, counting.writes + 1):
        key = IdempotencyKey(f"{at:064}", "body")
        count = len(await app.log.sessions(SessionFilter(), before=None, limit=100))
        with pytest.raises(StoreUnavailableError):
            await _forks(app, _InterruptedLog(app.log, at, _die)).fork(OWNER, source, request, key)
        assert len(await app.log.sessions(SessionFilter(), before=None, limit=100)) == count

        fork, replayed = await app.forks.fork(OWNER, source, request, key)

        assert (fork.head, fork.size_bytes, replayed) == (end, whole_fork.size_bytes, False)
        messages = (await app.messages.list(OWNER, fork.session_id, after=None, limit=10, newest=False)).messages
        assert [(each.sequence, each.answer, each.status) for each in messages] == [
            (each.sequence, each.answer, each.status) for each in expected
        ]
        assert await app.log.state(fork.session_id) == fork
        assert (await app.forks.fork(OWNER, source, request, key))[1]


async def test_a_late_request_that_dies_does_not_change_a_complete_fork(app: Services, model: ModelClient) -> None:
    source, counting = await create_session(app), _InterruptedLog(app.log)
    posts = [
        await post_message(app, source),
        await post_message(app, source, PROMPT, on_busy="steer"),
        await post_message(app, source),
    ]
    for message in (posts[0], posts[2]):
        await run(message, DurableClient())
    await _forks(app, counting).fork(OWNER, source, REQUEST)

    for at in range(1, counting.writes):
        key = IdempotencyKey(f"{at:064}", "body")
        finished: list[SessionState] = []

        async def finish(key: IdempotencyKey = key, finished: list[SessionState] = finished) -> None:
            finished.append((await app.forks.fork(OWNER, source, REQUEST, key))[0])

        late = _InterruptedLog(app.log, at, finish)
        with pytest.raises(StoreUnavailableError):
            await _forks(app, _InterruptedLog(cast("SessionLog", late), at + 1, _die)).fork(OWNER, source, REQUEST, key)

        messages = (await app.messages.list(OWNER, finished[0].session_id, after=None, limit=10, newest=False)).messages
        expected = (await app.messages.list(OWNER, source, after=None, limit=10, newest=False)).messages
        assert [(each.sequence, each.answer, each.status) for each in messages] == [
            (each.sequence, each.answer, each.status) for each in expected
        ]


async def test_a_retry_continues_with_the_cut_of_the_first_request(app: Services, model: ModelClient) -> None:
    source = await _conversation(app)
    head = (await app.sessions.get(OWNER, source)).head
    with pytest.raises(StoreUnavailableError):
        await _forks(app, _InterruptedLog(app.log, 6, _die)).fork(OWNER, source, REQUEST, KEY)
    await run(await post_message(app, source, "the log goes on"), DurableClient())

    with pytest.raises(IdempotencyKeyReusedError):
        await app.forks.fork(OWNER, source, REQUEST, IdempotencyKey(KEY.id, "another body"))
    fork, _ = await app.forks.fork(OWNER, source, REQUEST, KEY)

    assert (fork.head, fork.forked_from and fork.forked_from.sequence) == (head, head)


async def test_a_source_that_is_deleted_during_the_copy_leaves_no_fork(app: Services, model: ModelClient) -> None:
    for before_last in range(1, 8):
        source, counting = await _conversation(app), _InterruptedLog(app.log)
        await _forks(app, counting).fork(OWNER, source, REQUEST)

        async def delete(source: SessionId = source) -> None:
            await app.sessions.delete(OWNER, source, TRACE)
            await app.log.clear(source)

        count = len(await app.log.sessions(SessionFilter(), before=None, limit=100))
        log = _InterruptedLog(app.log, counting.writes - before_last, delete)
        with pytest.raises(SessionNotFoundError):
            await _forks(app, log).fork(OWNER, source, REQUEST)
        assert len(await app.log.sessions(SessionFilter(), before=None, limit=100)) == count - 1
        await clear(DurableClient())  # pyright: ignore[reportArgumentType]
        assert [await read_all(app.log, copy) for copy in log.copies] == [[]] * len(log.copies)


async def test_an_incomplete_fork_is_ended_by_the_sweep_and_never_was_a_session(
    app: Services, model: ModelClient, clock: Clock
) -> None:
    project, _ = await app.projects.create(OWNER, "A project")
    source = await create_session(app, project_id=project.id)
    await run(await post_message(app, source, PROMPT), DurableClient())
    room = Room(owner_hash(OWNER))
    cursor = (await app.rooms.snapshot(room)).cursor
    log = _InterruptedLog(app.log, 6, _die)
    with pytest.raises(StoreUnavailableError):
        await _forks(app, log).fork(OWNER, source, REQUEST, KEY)
    (copy,) = log.copies

    async def seen() -> list[Any]:
        listed = await app.log.sessions(SessionFilter(owner=owner_hash(OWNER)), before=None, limit=100)
        used = await app.project_sessions.usage(OWNER, project.id)
        status = await app.sessions.status(OWNER, copy)
        with pytest.raises(SessionNotFoundError):
            await app.outside_events.append(OWNER, copy, [("note", {})], TRACE)
        async with aclosing(app.rooms.follow(room, cursor, timedelta(0))) as batches:
            shown = list(await anext(batches))
        return [[each.session_id for each in listed], used.sessions, status, shown]

    only_the_source = [[source], 1, "not_existent", []]
    assert await seen() == only_the_source

    clock.move(timedelta(hours=24))
    await clear(DurableClient())  # pyright: ignore[reportArgumentType]
    assert await read_all(app.log, copy)
    clock.move(timedelta(hours=2))
    for _ in range(2):
        await clear(DurableClient())  # pyright: ignore[reportArgumentType]

    assert await read_all(app.log, copy) == []
    assert await seen() == only_the_source
    assert [each async for each in app.log.due_for_clearing(clock.now())] == []


async def test_a_request_that_continues_after_the_sweep_finds_its_sequence_taken(
    app: Services, model: ModelClient
) -> None:
    source, counting = await _conversation(app), _InterruptedLog(app.log)
    await _forks(app, counting).fork(OWNER, source, REQUEST)
    log: _InterruptedLog

    async def end() -> None:
        for copy in log.copies:
            await app.forks.abandon(copy)

    log = _InterruptedLog(app.log, counting.writes - 2, end)
    with pytest.raises(SessionDeletedError):
        await _forks(app, log).fork(OWNER, source, REQUEST, KEY)

    assert [(await load_state(app, copy)).deleted for copy in log.copies] == [True]


async def test_a_complete_fork_is_not_ended(app: Services, model: ModelClient) -> None:
    fork, _ = await app.forks.fork(OWNER, await _conversation(app), REQUEST)

    await app.forks.abandon(fork.session_id)

    assert await load_state(app, fork.session_id) == fork


async def test_another_owners_session_is_not_found(app: Services) -> None:
    with pytest.raises(SessionNotFoundError):
        await app.forks.fork("somebody else", await create_session(app), REQUEST)


async def test_the_running_turn_is_not_copied(app: Services) -> None:
    source = await create_session(app)
    await post_message(app, source)

    fork, _ = await app.forks.fork(OWNER, source, REQUEST)

    assert (fork.head, fork.active_turn, fork.forked_from) == (
        1,
        None,
        ForkedFrom(session_id=public_id(source), sequence=1),
    )
    assert [chunk.types for chunk in await read_all(app.log, fork.session_id)] == [("session.created",)]
