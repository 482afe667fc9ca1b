"""Feeds within one process: readers of the same key share its newest entries, and one of them polls for all.

A key is a session or a room. Use one `Feeds` on one event loop.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic

from turnlog.domain.pages import MAX_PAGE_BYTES
from turnlog.ports.feeds import E, K

MAX_CHUNKS = 32
"""How many of its newest chunks the readers of a session share, at most `MAX_PAGE_BYTES` together."""
MAX_ROOM_ENTRIES = 64
"""How many of its newest entries the readers of a room share, at most `MAX_PAGE_BYTES` together."""


@dataclass(frozen=True)
class Polling(Generic[K, E]):
    """How a process learns what others append. A pause, in seconds, is half the time since the newest entry.

    `poll(key, after)` reads entries later than the cursor `after`. It returns them, and the cursor up to which they are
    complete. It may miss the newest entries.

    `polls_per_entry`: while the next entry is due soon, poll this many times in the interval between the last two
    entries. That suits an answer, which is written at a steady pace.
    """

    poll: Callable[[K, int], Awaitable[tuple[Sequence[E], int]]]
    min_pause: float
    max_pause: float
    polls_per_entry: int | None = None


class Feeds(Generic[K, E]):
    """The feeds that are read in this process. Each keeps its newest `max_entries`.

    Without `polling`, readers learn only of what this process appends. There is no background task: the first reader
    that waits polls for all. When it leaves, another one takes over.
    """

    def __init__(self, max_entries: int, polling: Polling[K, E] | None = None) -> None:
        self._max_entries = max_entries
        self._polling = polling
        self._feeds: dict[K, _Feed[K, E]] = {}

    @contextmanager
    def watch(self, key: K, *, polls: bool = True) -> Generator["_Tail[K, E]"]:
        feed = self._feeds.setdefault(key, _Feed[K, E](key, self._max_entries))
        feed.readers += 1
        try:
            yield _Tail(feed, self._polling if polls else None)
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
    """One reader of a feed; see `turnlog.ports.Tail`."""

    def __init__(self, feed: "_Feed[K, E]", polling: Polling[K, E] | None) -> None:
        self._feed = feed
        self._polling = polling
        self._after = -1
        self._head = 0

    async def wait(self, after: int, timeout: timedelta, ignores: Callable[[E], bool] | None = None) -> Sequence[E]:
        # If a reader waits again at the same cursor, the store had no later entry for it up to the head of that time.
        read_to = max(after, self._head) if after == self._after else after
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await self._feed.wait_for_later(_Waiting(read_to, ignores), self._polling)
        except TimeoutError:
            return ()
        self._after, self._head = after, self._feed.head
        return self._feed.later_than(read_to)


@dataclass
class _Waiting(Generic[E]):
    """A reader that waits for an entry later than `after`, except those that it `ignores`: `after` moves past them."""

    after: int
    ignores: Callable[[E], bool] | None = None


class _Feed(Generic[K, E]):
    """What the readers of one key share: all entries after the cursor `_begins_after`, up to `_read_to`.

    `head` is the cursor of the newest entry. The feed is bounded: a slow reader reads the store.
    """

    def __init__(self, key: K, max_entries: int) -> None:
        self.readers = 0
        self.head = 0
        self._key = key
        self._begins_after = 0
        self._read_to = 0
        self._entries: deque[tuple[int, E, int]] = deque()  # each with its cursor and its size
        self._size = 0
        self._max_entries = max_entries
        self._waiting: dict[asyncio.Future[None], _Waiting[E]] = {}
        self._is_polled = False
        self._changed_at = asyncio.get_running_loop().time()
        self._interval = 0.0

    def extend(self, after: int, entries: Sequence[E], read_to: int) -> None:
        """Add `entries`, which are all that exist between the cursors `after` and `read_to`, and wake their readers.

        If there is a gap before them, the older entries are dropped, and readers behind the gap read the store.
        """
        if read_to <= max(after, self.head):
            return
        if after != self._read_to:
            self._entries.clear()
            self._begins_after, self._size = after, 0
        self._read_to = read_to
        for entry in entries:
            self.head = entry.cursor
            self._keep(entry)
        if entries:
            now = asyncio.get_running_loop().time()
            self._interval, self._changed_at = now - self._changed_at, now
            self._wake(entries, after)

    def _keep(self, entry: E) -> None:
        """Keep the newest entries that fit. One that is larger than all of them may be is left to the store."""
        self._entries.append((self.head, entry, size := entry.size))
        self._size += size
        while self._entries and (len(self._entries) > self._max_entries or self._size > MAX_PAGE_BYTES):
            self._begins_after, _, size = self._entries.popleft()
            self._size -= size

    def later_than(self, after: int) -> Sequence[E]:
        """All entries later than `after`; none if the feed does not hold all of them."""
        if after < self._begins_after:
            return ()
        later: list[E] = []
        for cursor, entry, _ in reversed(self._entries):  # a reader that follows waits for the newest one only
            if cursor <= after:
                break
            later.append(entry)
        later.reverse()
        return later

    async def wait_for_later(self, reader: _Waiting[E], polling: Polling[K, E] | None) -> None:
        """Wait until the feed knows an entry for which `reader` waits."""
        if polling is None:
            while self.head <= reader.after:
                await self._wait_until_woken(reader)
            return
        try:
            while self.head <= reader.after:
                if self._is_polled:
                    await self._wait_until_woken(reader)
                else:
                    await self._poll(reader, polling)
        finally:
            # Here, not in `_poll`: a reader that was woken to take over may be cancelled first, and then wakes the
            # others. It wakes all of them, because some never poll.
            if not self._is_polled:
                self._wake()

    async def _poll(self, reader: _Waiting[E], polling: Polling[K, E]) -> None:
        self._is_polled = True
        try:
            while self.head <= reader.after:
                await self._pause(reader, polling)
                if self.head <= reader.after:
                    start = self._poll_start(reader)
                    self.extend(start, *await polling.poll(self._key, start))
        finally:
            self._is_polled = False

    async def _pause(self, reader: _Waiting[E], polling: Polling[K, E]) -> None:
        """Wait until it is time to poll, or until this process appends something for which `reader` waits."""
        silent = asyncio.get_running_loop().time() - self._changed_at
        pause = silent / 2
        if polling.polls_per_entry is not None and silent < 1.5 * self._interval:
            pause = self._interval / polling.polls_per_entry
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(pause, polling.min_pause), polling.max_pause)):
                await self._wait_until_woken(reader)

    def _poll_start(self, reader: _Waiting[E]) -> int:
        """The cursor after which `reader` polls for all.

        Each waiting reader has read the store up to its cursor, so polling starts at the lowest of these cursors.
        Entries that the feed holds are not read again.
        """
        behind = min(each.after for each in (reader, *self._waiting.values()))
        return self._read_to if self._begins_after <= behind < self._read_to else behind

    async def _wait_until_woken(self, reader: _Waiting[E]) -> None:
        """Wait for an entry for which `reader` waits, or until everyone is woken."""
        woken = asyncio.get_running_loop().create_future()
        self._waiting[woken] = reader
        try:
            await woken
        finally:
            self._waiting.pop(woken, None)

    def _wake(self, entries: Sequence[E] | None = None, after: int = 0) -> None:
        """Wake the readers that wait for one of the new `entries`, which follow `after`, or all of them."""
        for woken, reader in list(self._waiting.items()):
            if entries is None or self._ends_wait(reader, entries, after):
                del self._waiting[woken]
                if not woken.done():
                    woken.set_result(None)

    def _ends_wait(self, reader: _Waiting[E], entries: Sequence[E], after: int) -> bool:
        if reader.after >= self.head:
            return False
        if reader.after < after or reader.ignores is None or not all(map(reader.ignores, entries)):
            return True
        reader.after = self.head
        return False
