"""Forks: what is copied, under which ids, and what becomes of an incomplete copy."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrations.timers import sweep
from shared.domain.chunks import Chunk
from shared.domain.documents import AnyDocument
from shared.domain.errors import (
    IdempotencyKeyReusedError,
    SessionDeletedError,
    SessionNotFoundError,
    StoreUnavailableError,
)
from shared.domain.events import ForkedFrom
from shared.domain.fold import fold
from shared.domain.fork import Fork
from shared.domain.ids import MessageId, SessionId, TurnId, WriterId, instance_of, session_of, turn_of
from shared.domain.listing import SessionFilter
from shared.domain.rooms import Room
from shared.domain.session import SessionState
from shared.domain.values import Usage
from shared.ports import ModelClient, SessionLog
from shared.services.fork import ForkRequest, Forks
from shared.services.idempotency import IdempotencyKey
from shared.wiring import Services
from tests.contract.factories import whole
from tests.contract.strategies import SESSION, logs, upto
from tests.unit.conftest import Clock
from tests.unit.telling import OWNER, TRACE, Client, opened, posted, state_of
from tests.unit.test_whole_turns import PROMPT, run

pytestmark = pytest.mark.anyio

WISH = ForkRequest(TRACE)
KEY = IdempotencyKey("0123456789abcdef" * 4, "body")
COPY = SessionId("ses_copy")


@given(logs(), st.data())
def test_a_fork_is_the_log_up_to_the_cut_under_other_ids(chunks: list[Chunk], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, chunks[-1].last))
    fork = Fork(SESSION, COPY, cut)

    copies = [fork.chunk(chunk, WriterId("w")) for chunk in chunks if chunk.first <= cut]

    before = [event for chunk in chunks for event in chunk.events if event.sequence <= cut]
    after = [event for chunk in copies for event in chunk.events]
    kept = [(event.sequence, event.timestamp, event.trace_id, event.type) for event in before]
    assert [(event.sequence, event.timestamp, event.trace_id, event.type) for event in after] == kept
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
    """A log that calls `happens` before the write number `at`, and counts writes."""

    def __init__(self, log: SessionLog, at: int = 0, happens: Callable[[], Awaitable[object]] | None = None) -> None:
        self._log = log
        self._at = at
        self._happens = happens
        self.writes = 0
        self.copies: set[SessionId] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, chunk: Chunk, *more: Any) -> None:
        await self._happening()
        self.copies.add(chunk.session_id)
        await self._log.append(chunk, *more)

    async def put(self, session_id: SessionId, document: AnyDocument) -> None:
        await self._happening()
        await self._log.put(session_id, document)

    async def _happening(self) -> None:
        self.writes += 1
        if self.writes == self._at and self._happens is not None:
            await self._happens()


async def _die() -> None:
    raise StoreUnavailableError("The process dies here.")


def _forks(on: Services, log: _InterruptedLog) -> Forks:
    return Forks(cast("SessionLog", log), on.clock)


async def _conversation(on: Services) -> SessionId:
    session = await opened(on)
    await run(await posted(on, session, PROMPT), Client())
    await run(await posted(on, session, "large " * 10_000), Client())
    return session


async def test_a_fork_interrupted_at_any_write_is_completed_by_a_retry(on: Services, model: ModelClient) -> None:
    source = await _conversation(on)
    counting = _InterruptedLog(on.log)
    whole_fork, _ = await _forks(on, counting).fork(OWNER, source, WISH)
    expected = await on.messages.list(OWNER, whole_fork.session_id, after=None, limit=10, newest=False)
    end = whole_fork.head
    await run(await posted(on, source, "the log goes on"), Client())
    wish = ForkRequest(TRACE, at_sequence=end)

    for at in range(1, counting.writes + 1):
        key = IdempotencyKey(f"{at:064}", "body")
        seen = len(await on.log.sessions(SessionFilter(), before=None, limit=100))
        with pytest.raises(StoreUnavailableError):
            await _forks(on, _InterruptedLog(on.log, at, _die)).fork(OWNER, source, wish, key)
        assert len(await on.log.sessions(SessionFilter(), before=None, limit=100)) == seen

        made, replayed = await on.forks.fork(OWNER, source, wish, key)

        assert (made.head, made.size_bytes, replayed) == (end, whole_fork.size_bytes, False)
        messages = await on.messages.list(OWNER, made.session_id, after=None, limit=10, newest=False)
        assert [(each.sequence, each.answer, each.status) for each in messages] == [
            (each.sequence, each.answer, each.status) for each in expected
        ]
        assert await on.log.state(made.session_id) == made
        assert (await on.forks.fork(OWNER, source, wish, key))[1]


async def test_a_late_request_that_dies_does_not_change_a_complete_fork(on: Services, model: ModelClient) -> None:
    source, counting = await opened(on), _InterruptedLog(on.log)
    posts = [await posted(on, source), await posted(on, source, PROMPT, on_busy="steer"), await posted(on, source)]
    for message in (posts[0], posts[2]):
        await run(message, Client())
    await _forks(on, counting).fork(OWNER, source, WISH)

    for at in range(1, counting.writes):
        key = IdempotencyKey(f"{at:064}", "body")
        made: list[SessionState] = []

        async def finish(key: IdempotencyKey = key, made: list[SessionState] = made) -> None:
            made.append((await on.forks.fork(OWNER, source, WISH, key))[0])

        late = _InterruptedLog(on.log, at, finish)
        with pytest.raises(StoreUnavailableError):
            await _forks(on, _InterruptedLog(cast("SessionLog", late), at + 1, _die)).fork(OWNER, source, WISH, key)

        messages = await on.messages.list(OWNER, made[0].session_id, after=None, limit=10, newest=False)
        expected = await on.messages.list(OWNER, source, after=None, limit=10, newest=False)
        assert [(each.sequence, each.answer, each.status) for each in messages] == [
            (each.sequence, each.answer, each.status) for each in expected
        ]


async def test_a_retry_continues_with_the_cut_of_the_first_request(on: Services, model: ModelClient) -> None:
    source = await _conversation(on)
    head = (await on.sessions.get(OWNER, source)).head
    with pytest.raises(StoreUnavailableError):
        await _forks(on, _InterruptedLog(on.log, 6, _die)).fork(OWNER, source, WISH, KEY)
    await run(await posted(on, source, "the log goes on"), Client())

    with pytest.raises(IdempotencyKeyReusedError):
        await on.forks.fork(OWNER, source, WISH, IdempotencyKey(KEY.id, "another body"))
    made, _ = await on.forks.fork(OWNER, source, WISH, KEY)

    assert (made.head, made.forked_from and made.forked_from.sequence) == (head, head)


async def test_a_source_that_is_deleted_during_the_copy_leaves_no_fork(on: Services, model: ModelClient) -> None:
    for before_last in range(1, 8):
        source, counting = await _conversation(on), _InterruptedLog(on.log)
        await _forks(on, counting).fork(OWNER, source, WISH)

        async def delete(source: SessionId = source) -> None:
            await on.sessions.delete(OWNER, source, TRACE)
            await on.log.clear(source)

        seen = len(await on.log.sessions(SessionFilter(), before=None, limit=100))
        log = _InterruptedLog(on.log, counting.writes - before_last, delete)
        with pytest.raises(SessionNotFoundError):
            await _forks(on, log).fork(OWNER, source, WISH)
        assert len(await on.log.sessions(SessionFilter(), before=None, limit=100)) == seen - 1
        await sweep(Client())  # pyright: ignore[reportArgumentType]
        assert [await whole(on.log, copy) for copy in log.copies] == [[]] * len(log.copies)


async def test_an_incomplete_fork_is_ended_by_the_sweep_and_never_was_a_session(
    on: Services, model: ModelClient, clock: Clock
) -> None:
    project, _ = await on.projects.create(OWNER, "A project")
    source = await opened(on, project_id=project.id)
    await run(await posted(on, source, PROMPT), Client())
    room = Room(OWNER)
    cursor = (await on.rooms.snapshot(room)).cursor
    log = _InterruptedLog(on.log, 6, _die)
    with pytest.raises(StoreUnavailableError):
        await _forks(on, log).fork(OWNER, source, WISH, KEY)
    (copy,) = log.copies

    async def seen() -> list[Any]:
        listed = await on.log.sessions(SessionFilter(owner=OWNER), before=None, limit=100)
        used = await on.project_sessions.usage(OWNER, project.id)
        status = await on.sessions.status(OWNER, copy)
        with pytest.raises(SessionNotFoundError):
            await on.events.append(OWNER, copy, [("note", {})], TRACE)
        async with aclosing(on.rooms.follow(room, cursor, timedelta(0))) as batches:
            shown = list(await anext(batches))
        return [[each.session_id for each in listed], used.sessions, status, shown]

    only_the_source = [[source], 1, "not_existent", []]
    assert await seen() == only_the_source

    clock.move(timedelta(hours=24))
    await sweep(Client())  # pyright: ignore[reportArgumentType]
    assert await whole(on.log, copy)
    clock.move(timedelta(hours=2))
    for _ in range(2):
        await sweep(Client())  # pyright: ignore[reportArgumentType]

    assert await whole(on.log, copy) == []
    assert await seen() == only_the_source
    assert await on.log.due_for_repair(clock.now(), 10) == []


async def test_a_request_that_continues_after_the_sweep_finds_its_sequence_taken(
    on: Services, model: ModelClient
) -> None:
    source, counting = await _conversation(on), _InterruptedLog(on.log)
    await _forks(on, counting).fork(OWNER, source, WISH)
    log: _InterruptedLog

    async def end() -> None:
        for copy in log.copies:
            await on.forks.abandon(copy)

    log = _InterruptedLog(on.log, counting.writes - 2, end)
    with pytest.raises(SessionDeletedError):
        await _forks(on, log).fork(OWNER, source, WISH, KEY)

    assert [(await state_of(on, copy)).deleted for copy in log.copies] == [True]


async def test_a_complete_fork_is_not_ended(on: Services, model: ModelClient) -> None:
    made, _ = await on.forks.fork(OWNER, await _conversation(on), WISH)

    await on.forks.abandon(made.session_id)

    assert await state_of(on, made.session_id) == made


async def test_another_owners_session_is_not_found(on: Services) -> None:
    with pytest.raises(SessionNotFoundError):
        await on.forks.fork("somebody else", await opened(on), WISH)


async def test_the_running_turn_is_not_copied(on: Services) -> None:
    source = await opened(on)
    await posted(on, source)

    made, _ = await on.forks.fork(OWNER, source, WISH)

    assert (made.head, made.active_turn, made.forked_from) == (1, None, ForkedFrom(session_id=source, sequence=1))
    assert [chunk.types for chunk in await whole(on.log, made.session_id)] == [("session.created",)]
