"""The writer of a session's log: decide on the newest state, append, and decide again if another writer was first."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from turnlog.domain.chunks import Chunk, Draft, Event, sequenced
from turnlog.domain.errors import SequenceTakenError, SessionNotFoundError
from turnlog.domain.fold import fold, needs_checkpoint
from turnlog.domain.ids import SessionId, new_writer_id
from turnlog.domain.session import SessionState, require_owned
from turnlog.domain.stored_documents import AnyDocument
from turnlog.ports import Clock, SessionLog
from turnlog.services.log.holding import hold
from turnlog.services.log.idempotency import IdempotencyKey, find_result

R = TypeVar("R")

_PAGE = 100
_NO_PROGRESS_SECONDS = 5.0
"""If no writer in the queue finishes for this long, the waiting writers leave the queue."""


class _WriterQueue:
    """Lets this process's writers of one session append one after the other, as long as they make progress.

    `state` is the newest state that one of them left.
    """

    def __init__(self) -> None:
        self.state: SessionState | None = None
        self._lock = asyncio.Lock()
        self._finished = 0
        self._waiting = 0

    @asynccontextmanager
    async def enter(self) -> AsyncGenerator[None]:
        """Wait for the writers before this one. If they make no progress, do not wait: the log refuses a second writer.

        Otherwise, while the store does not answer, each writer would wait for the timeouts of all writers before it.
        """
        if not self._lock.locked() and not self._waiting:
            async with self._lock:
                yield
                self._finished += 1
            return
        acquiring = asyncio.create_task(self._lock.acquire())
        self._waiting += 1
        try:
            try:
                await self._wait(acquiring)
            finally:
                self._waiting -= 1
            yield
            self._finished += 1
        finally:
            if not acquiring.cancel():  # the task is done, so this writer holds the lock
                self._lock.release()

    async def _wait(self, acquiring: asyncio.Task[bool]) -> None:
        """Return when the lock is acquired, or when no writer has finished for a while."""
        while not acquiring.done():
            finished = self._finished
            await asyncio.wait([acquiring], timeout=_NO_PROGRESS_SECONDS)
            if self._finished == finished:
                return

    def keep(self, state: SessionState) -> None:
        """Keep `state` for the next writers if it is newer."""
        if self.state is None or state.head > self.state.head:
            self.state = state


_QUEUES: WeakKeyDictionary[SessionLog, WeakValueDictionary[SessionId, _WriterQueue]] = WeakKeyDictionary()


def _queue_of(log: SessionLog, session_id: SessionId) -> _WriterQueue:
    """The queue of a session's writers, which exists as long as one of them."""
    queues = _QUEUES.get(log)
    if queues is None:
        queues = _QUEUES[log] = WeakValueDictionary()
    return queues.setdefault(session_id, _WriterQueue())


@dataclass(frozen=True)
class Decision(Generic[R]):
    """What to append, the documents of the same batch, and what the caller gets once the batch is written.

    Without drafts nothing is appended. `record` is stored under the request's Idempotency-Key, if it has one; `replay`
    answers a retry from it.
    """

    result: R
    drafts: Sequence[Draft] = ()
    documents: Sequence[AnyDocument] = ()
    record: str | None = None


Decide: TypeAlias = Callable[[SessionState], Awaitable[Decision[R]]]
Replay: TypeAlias = Callable[[SessionState, str], Awaitable[R]]


class SessionWriter:
    """Appends to one session under one random writer id, by which its chunks are recognised.

    While the store is unavailable, it raises at once, or it waits until `hold_until`.
    """

    def __init__(
        self, log: SessionLog, clock: Clock, session_id: SessionId, hold_until: datetime | None = None
    ) -> None:
        self.id = new_writer_id()
        self.session_id = session_id
        self._log = log
        self._clock = clock
        self._hold_until = hold_until
        self._queue = _queue_of(log, session_id)
        self._state: SessionState | None = None
        self._may_be_behind = False
        self.appended_at = clock.now()
        """When this writer last appended; at first, when it was created."""
        self.appended: Sequence[Event] = ()
        """What this writer last appended."""

    @property
    def state(self) -> SessionState:
        """The session as this writer last knew it."""
        if self._state is None:
            raise SessionNotFoundError(self.session_id)
        return self._state

    async def load(self) -> SessionState | None:
        """Read the session's state from the log; None if there is no session."""
        self._state = await self.hold(lambda: self._log.state(self.session_id))
        self._may_be_behind = False
        return self._state

    async def load_remains(self) -> None:
        """Read only what a deletion has to know, of a session whose state cannot be read otherwise."""
        self._state = await self._log.remains(self.session_id)

    async def hold(self, call: Callable[[], Awaitable[R]]) -> R:
        """The result of `call`, which is safe to repeat. If the store is unavailable, it waits like this writer."""
        return await (call() if self._hold_until is None else hold(self._clock, self._hold_until, call))

    async def append(self, drafts: Sequence[Draft], documents: Sequence[AnyDocument] = ()) -> Sequence[Event]:
        """Append directly after the state that this writer knows.

        Raises:
            SequenceTakenError: there are events that this writer does not know. Read them and decide again.
        """
        known = self._state
        events = sequenced(drafts, 0 if known is None else known.head, self._clock.now())
        chunk = Chunk(session_id=self.session_id, epoch=1, writer=self.id, events=events)
        after = fold(known, (chunk,))
        # Always the same chunk: if only the reply of the first call was lost, the log recognises it.
        checkpoint = after if needs_checkpoint(chunk) else None
        await self.hold(lambda: self._log.append(chunk, checkpoint, documents))
        self._state, self._may_be_behind = after, False
        self.appended, self.appended_at = events, chunk.events[-1].timestamp
        return events

    async def transact(
        self,
        decide: Decide[R],
        *,
        owner: str | None = None,
        key: IdempotencyKey | None = None,
        replay: Replay[R] | None = None,
    ) -> R:
        """Append what `decide` returns for the newest state. If another writer was first, call `decide` again.

        `decide` may read documents: if the append succeeds, nothing was written in between. `decide` runs only for the
        first request with `key`. For the others, `replay` builds the result from what the first one recorded.

        Raises:
            SessionNotFoundError: there is no session, or `owner` is given and it is not theirs.
            IdempotencyKeyReusedError: the first request with the key had another body.
        """
        if self._state is None:
            await self._load_checkpoint()

        async def decide_once(state: SessionState) -> Decision[R]:
            if owner is not None:
                require_owned(state, owner, self.session_id)
            if key is None or replay is None:
                return await decide(state)
            recorded = await find_result(self._log, self.session_id, key)
            return await decide(state) if recorded is None else Decision(await replay(state, recorded))

        decision = await self._transact(decide_once, key)
        if key is not None and decision.record is not None and not decision.drafts:
            await self._log.put(self.session_id, key.record(decision.record))
        return decision.result

    async def _transact(self, decide: Decide[R], key: IdempotencyKey | None) -> Decision[R]:
        queue = self._queue
        async with queue.enter():
            # The previous writer left its state, so it is not read again. If that is not the newest, the append fails.
            if queue.state is not None and queue.state.head > self.state.head:
                self._state, self._may_be_behind = queue.state, False
            while True:
                with suppress(SequenceTakenError):
                    decision = await self._decide(decide)
                    if decision.drafts:
                        await self.append(decision.drafts, _with_record(decision, key))
                        queue.keep(self.state)
                    return decision
                await (self.load() if self._may_be_behind else self._read_on())

    async def _load_checkpoint(self) -> None:
        """Read a state that is the newest, unless an answer is being written. The append finds out: it is refused."""
        state = await self.hold(lambda: self._log.checkpoint(self.session_id))
        self._state, self._may_be_behind = state, state is not None and not state.deleted
        if state is not None and state.active_turn is not None and self._hold_until is None:
            await self._catch_up()  # this writer is not the turn's own, so others are probably writing

    async def _catch_up(self) -> None:
        checkpoint = self.state
        self._state = await self.hold(lambda: self._log.catch_up(checkpoint))
        self._may_be_behind = False

    async def _decide(self, decide: Decide[R]) -> Decision[R]:
        """The decision. One that appends nothing, and an error, are final only for the newest state."""
        if self._may_be_behind:
            with suppress(Exception):
                decision = await decide(self.state)
                if decision.drafts:
                    return decision
            await self.load()
        return await decide(self.state)

    async def _read_on(self) -> None:
        """Read what other writers appended after the state that this writer knows."""
        head = self.state.head
        chunks = await self.hold(lambda: self._log.read(self.session_id, head, _PAGE))
        is_gapless = [chunk.first for chunk in chunks] == [head + 1, *(chunk.last + 1 for chunk in chunks[:-1])]
        if is_gapless and not any(chunk.has_unknown for chunk in chunks):
            self._state = fold(self.state, chunks)
        else:
            # There are no chunks, or the log is being cleared, or a later release wrote what this one cannot fold. The
            # state itself is then stored by the writer that could.
            await self.load()


def _with_record(decision: Decision[R], key: IdempotencyKey | None) -> Sequence[AnyDocument]:
    if key is None or decision.record is None:
        return decision.documents
    return (*decision.documents, key.record(decision.record))
