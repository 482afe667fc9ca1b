"""Feeds within one process: readers of the same key share its newest entries, and the first that waits polls for all.

A key is a session or a room. Use one `Feeds` on one event loop.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic

from shared.ports.feeds import E, K

MAX_CHUNKS = 32
MAX_ROOM_ENTRIES = 64
"""How many of the newest entries the readers of a session share, and those of a room."""


@dataclass(frozen=True)
class Polling(Generic[K, E]):
    """How a process learns what others append. Pauses are in seconds, and half as long as the feed has been silent.

    `poll(key, after)` reads entries later than the cursor `after`. It returns them with the cursor up to which there
    are no others. That it finds nothing does not mean that there is nothing.

    `polls_per_entry`: while the next entry is about due, poll this many times in the time that the last one took. That
    suits an answer, which is written at a steady pace.
    """

    poll: Callable[[K, int], Awaitable[tuple[Sequence[E], int]]]
    min_pause: float
    max_pause: float
    polls_per_entry: int | None = None


class Feeds(Generic[K, E]):
    """The feeds that are read in this process, of which each keeps its newest `max_entries`.

    Without `polling`, readers learn only of what this process appends. There is no task to own: the first reader that
    waits polls for all, and when it leaves another one takes over.
    """

    def __init__(self, max_entries: int, polling: Polling[K, E] | None = None) -> None:
        self._max_entries = max_entries
        self._polling = polling
        self._feeds: dict[K, _Feed[K, E]] = {}

    @contextmanager
    def watch(self, key: K, *, eager: bool = True) -> Generator["_Tail[K, E]"]:
        feed = self._feeds.setdefault(key, _Feed[K, E](key, self._max_entries))
        feed.readers += 1
        try:
            yield _Tail(feed, self._polling if eager else None)
        finally:
            feed.readers -= 1
            if feed.readers == 0:
                del self._feeds[key]

    def is_watched(self, key: K) -> bool:
        return key in self._feeds

    def extend(self, key: K, after: int, entry: E) -> None:
        """Wake the readers of `key` with `entry`, the only one between the cursors `after` and its own.

        Call it only when the entry is stored. Entries may come twice or in any order, since two appends can be
        acknowledged in any order.
        """
        if (feed := self._feeds.get(key)) is not None:
            feed.extend(after, (entry,), entry.cursor)


class _Tail(Generic[K, E]):
    """One reader of a feed; see `shared.ports.Tail`."""

    def __init__(self, feed: "_Feed[K, E]", polling: Polling[K, E] | None) -> None:
        self._feed = feed
        self._polling = polling
        self._after = -1
        self._head = 0

    async def wait(self, after: int, timeout: timedelta) -> Sequence[E]:
        # A reader that waits again at the same cursor has found nothing in the store up to the head that it knew.
        read_to = max(after, self._head) if after == self._after else after
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await self._feed.has_later(read_to, self._polling)
        except TimeoutError:
            return ()
        self._after, self._head = after, self._feed.head
        return self._feed.later_than(read_to)


class _Feed(Generic[K, E]):
    """What the readers of one key share: all entries between the cursors `_floor` and `_reached`.

    `head` is the cursor of the newest entry. The feed is bounded: a slow reader reads the store.
    """

    def __init__(self, key: K, max_entries: int) -> None:
        self.readers = 0
        self.head = 0
        self._key = key
        self._floor = 0
        self._reached = 0
        self._entries: deque[E] = deque()
        self._max_entries = max_entries
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._is_polled = False
        self._changed_at = asyncio.get_running_loop().time()
        self._interval = 0.0

    def extend(self, after: int, entries: Sequence[E], reached: int) -> None:
        """Add `entries`, which are all that exist between the cursors `after` and `reached`, and wake their readers.

        If they come after a hole, what was kept is dropped: readers from before the hole read the store.
        """
        if reached <= max(after, self.head):
            return
        if after != self._reached:
            self._entries.clear()
            self._floor = after
        self._reached = reached
        for entry in entries:
            self._entries.append(entry)
            if len(self._entries) > self._max_entries:
                self._floor = self._entries.popleft().cursor
        if entries:
            self.head = entries[-1].cursor
            now = asyncio.get_running_loop().time()
            self._interval, self._changed_at = now - self._changed_at, now
            self._wake()

    def later_than(self, after: int) -> Sequence[E]:
        """All entries later than `after`, or none if a part of them is not kept here."""
        return [entry for entry in self._entries if entry.cursor > after] if after >= self._floor else ()

    async def has_later(self, after: int, polling: Polling[K, E] | None) -> None:
        """Return once an entry later than `after` is known here."""
        if polling is None:
            while self.head <= after:
                await self._woken(after)
            return
        try:
            while self.head <= after:
                if self._is_polled:
                    await self._woken(after)
                else:
                    await self._poll(after, polling)
        finally:
            # Not where polling ends: the reader that could take over may itself be cancelled before it does so. All
            # are woken, since readers that never poll wait among them.
            if not self._is_polled:
                self._wake(everyone=True)

    async def _poll(self, after: int, polling: Polling[K, E]) -> None:
        self._is_polled = True
        try:
            while self.head <= after:
                await self._pause(after, polling)
                if self.head <= after:
                    start = self._next_poll(after)
                    self.extend(start, *await polling.poll(self._key, start))
        finally:
            self._is_polled = False

    async def _pause(self, after: int, polling: Polling[K, E]) -> None:
        """Wait until it is time to poll, or until this process appends something later than `after`."""
        silent = asyncio.get_running_loop().time() - self._changed_at
        pause = silent / 2
        if polling.polls_per_entry is not None and silent < 1.5 * self._interval:
            pause = self._interval / polling.polls_per_entry
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(pause, polling.min_pause), polling.max_pause)):
                await self._woken(after)

    def _next_poll(self, after: int) -> int:
        """The cursor after which a reader at `after` polls for all.

        Each reader that waits has read the store up to its cursor. So what follows the one furthest behind is new to
        at least one reader, except what is known here already.
        """
        behind = min((after, *self._waiting.values()))
        return self._reached if self._floor <= behind < self._reached else behind

    async def _woken(self, after: int) -> None:
        """Wait for an entry later than `after`, or until everyone is woken."""
        woken = asyncio.get_running_loop().create_future()
        self._waiting[woken] = after
        try:
            await woken
        finally:
            self._waiting.pop(woken, None)

    def _wake(self, *, everyone: bool = False) -> None:
        for woken, after in list(self._waiting.items()):
            if everyone or after < self.head:
                del self._waiting[woken]
                if not woken.done():
                    woken.set_result(None)
