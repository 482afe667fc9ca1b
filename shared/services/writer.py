"""One execution's hand on a session's log: read on, decide, append; decide again when somebody else was first."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from shared.domain.chunks import (
    Chunk,
    Draft,
    Event,
    sequenced,
)
from shared.domain.documents import AnyDocument
from shared.domain.errors import SequenceTakenError, SessionNotFoundError
from shared.domain.fold import fold, needs_checkpoint
from shared.domain.ids import SessionId, new_writer_id
from shared.domain.session import SessionState
from shared.ports import Clock, SessionLog

R = TypeVar("R")

_READ_AT_ONCE = 100
_STANDSTILL_SECONDS = 5.0
"""After so long without anybody getting done, writers no longer wait for each other."""


class _Line:
    """This process's writers of one session: each in its turn, none past the others as long as they get on.

    `state` is the newest that one of them left.
    """

    def __init__(self) -> None:
        self.state: SessionState | None = None
        self._turn = asyncio.Lock()
        self._settled = 0
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait for a turn; where the line stands still, go past: the log itself keeps writers apart.

        A store that doesn't answer would else be waited for by one after the other, and a cancel by all of them.
        """
        if not self._turn.locked() and not self._waiting:
            async with self._turn:
                yield
                self._settled += 1
            return
        taking = asyncio.create_task(self._turn.acquire())
        self._waiting += 1
        try:
            try:
                await self._moved_up(taking)
            finally:
                self._waiting -= 1
            yield
            self._settled += 1
        finally:
            if not taking.cancel():  # it is done, so the turn is ours
                self._turn.release()

    async def _moved_up(self, taking: asyncio.Task[bool]) -> None:
        while not taking.done():
            settled = self._settled
            await asyncio.wait([taking], timeout=_STANDSTILL_SECONDS)
            if self._settled == settled:
                return

    def leave(self, state: SessionState) -> None:
        """Tell the next ones how far the log goes by now."""
        if self.state is None or state.head > self.state.head:
            self.state = state


_LINES: WeakKeyDictionary[SessionLog, WeakValueDictionary[SessionId, _Line]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Decision(Generic[R]):
    """What to append, with the documents of the same batch, and what the caller gets once that is in the log.

    Without drafts nothing is written and the result stands at once.
    """

    result: R
    drafts: Sequence[Draft] = ()
    documents: Sequence[AnyDocument] = ()


class SessionWriter:
    """Appends to one session under one random writer id, which is how its own chunks are told from others'."""

    def __init__(self, log: SessionLog, clock: Clock, session_id: SessionId) -> None:
        self.id = new_writer_id()
        self.session_id = session_id
        self._log = log
        self._clock = clock
        self._state: SessionState | None = None
        self.appended_at = clock.now()
        """When this writer last appended; its making counts as the first time."""

    @property
    def state(self) -> SessionState:
        """The session as this writer last knew it."""
        if self._state is None:
            raise SessionNotFoundError(self.session_id)
        return self._state

    async def load(self) -> SessionState | None:
        """Read the session as its log says now; None if there is none."""
        self._state = await self._log.state(self.session_id)
        return self._state

    async def append(self, drafts: Sequence[Draft], documents: Sequence[AnyDocument] = ()) -> Sequence[Event]:
        """Append right after what this writer knows.

        Raises:
            SequenceTakenError: there is something it doesn't know yet: read on and decide again.
        """
        known = self._state
        events = sequenced(drafts, 0 if known is None else known.head, self._clock.now())
        chunk = Chunk(session_id=self.session_id, epoch=1, writer=self.id, events=events)
        after = fold(known, (chunk,))
        await self._log.append(chunk, after if needs_checkpoint(chunk) else None, documents)
        self._state = after
        self.appended_at = chunk.events[-1].timestamp
        return events

    async def settle(self, decide: Callable[[SessionState], Awaitable[Decision[R]]]) -> R:
        """Append what `decide` says of the newest state; when another writer was first, ask it again.

        `decide` may read documents: if the append then succeeds, nothing was written in between.
        """
        line = _LINES.setdefault(self._log, WeakValueDictionary()).setdefault(self.session_id, _Line())
        async with line.turn():
            # What the one before has appended need not be read: should there be more, the append tells.
            if line.state is not None and line.state.head > self.state.head:
                self._state = line.state
            while True:
                with suppress(SequenceTakenError):
                    decision = await decide(self.state)
                    if decision.drafts:
                        await self.append(decision.drafts, decision.documents)
                        line.leave(self.state)
                    return decision.result
                await self._read_on()

    async def _read_on(self) -> None:
        """Learn what others have appended since this writer last looked."""
        head = self.state.head
        news = await self._log.read(self.session_id, head, _READ_AT_ONCE)
        if [chunk.first for chunk in news] == [head + 1, *(chunk.last + 1 for chunk in news[:-1])]:
            self._state = fold(self.state, news)
        else:  # nothing is there, or the log is being cleared: then its state says more
            await self.load()
