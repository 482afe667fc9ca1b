"""Waking readers: who waits for a session's next chunk, and the newest chunks kept at hand for them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from shared.domain.chunks import (
    Chunk,
)
from shared.domain.ids import SessionId

_RECENT_CHUNKS = 32


class TailedSession:
    """What the readers of one session share. Bounded: a slow reader falls back to reading the log.

    `changed_at` is when something new was last seen, by the loop's clock; `pace` is how long that took, in seconds.
    """

    def __init__(self, session_id: SessionId) -> None:
        self.session_id = session_id
        self.readers = 0
        self.head = 0
        self.polled = False
        self.changed_at = asyncio.get_running_loop().time()
        self.pace = 0.0
        self._recent: deque[Chunk] = deque(maxlen=_RECENT_CHUNKS)
        self._waiting: dict[asyncio.Future[None], int] = {}

    async def woken(self, after: int) -> None:
        """Wait until something later than `after` is known here, or `wake_all`."""
        woken = asyncio.get_running_loop().create_future()
        self._waiting[woken] = after
        try:
            await woken
        finally:
            self._waiting.pop(woken, None)

    def following(self, after: int) -> Sequence[Chunk]:
        """The recent chunks that hold everything after `after`, or none if a part of it is no longer at hand."""
        later = [chunk for chunk in self._recent if chunk.last > after]
        return later if later and later[0].first <= after + 1 else ()

    def keep(self, chunk: Chunk) -> None:
        """Keep `chunk` at hand if it follows what is there, and wake whom it concerns."""
        if chunk.last <= self.head:
            return
        if self._recent and chunk.first != self._recent[-1].last + 1:
            self._recent.clear()
        self._recent.append(chunk)
        self.head = chunk.last
        now = asyncio.get_running_loop().time()
        self.pace, self.changed_at = now - self.changed_at, now
        for woken, after in self._waiting.items():
            if after < self.head and not woken.done():
                woken.set_result(None)

    def furthest_behind(self, after: int) -> int:
        """The cursor of the reader furthest behind, of one at `after` and all who wait."""
        return min((after, *self._waiting.values()))

    def wake_all(self) -> None:
        """Wake all who wait: one of them has to look for itself from now on."""
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)


class SessionTail:
    """One reader's ear; see `shared.ports.Tail`."""

    def __init__(self, session: TailedSession, news: Callable[[TailedSession, int], Awaitable[None]]) -> None:
        self._session = session
        self._news = news

    async def wait(self, after: int, at_most: timedelta) -> Sequence[Chunk]:
        try:
            async with asyncio.timeout(at_most.total_seconds()):
                await self._news(self._session, after)
        except TimeoutError:
            return ()
        return self._session.following(after)


class Tails:
    """The readers of every session in this process. Use on one event loop."""

    def __init__(self) -> None:
        self._sessions: dict[SessionId, TailedSession] = {}

    @contextmanager
    def watch(self, session_id: SessionId, *, eager: bool = True) -> Generator[SessionTail]:
        session = self._sessions.setdefault(session_id, TailedSession(session_id))
        session.readers += 1
        try:
            yield SessionTail(session, self.news if eager else self.own_news)
        finally:
            session.readers -= 1
            if session.readers == 0:
                del self._sessions[session_id]

    def appended(self, chunk: Chunk) -> None:
        """Wake who waits for `chunk`. Call it only after the chunk is in the log.

        Chunks may arrive here twice or out of order, since two appends can be acknowledged in either order; one that
        is not the next is not kept, and readers read the log.
        """
        session = self._sessions.get(chunk.session_id)
        if session is not None:
            session.keep(chunk)

    async def own_news(self, session: TailedSession, after: int) -> None:
        """Return once this process has appended something later than `after`, or learned of it."""
        while session.head <= after:
            await session.woken(after)

    async def news(self, session: TailedSession, after: int) -> None:
        """Return once something later than `after` is known here, whoever appended it."""
        await self.own_news(session, after)
