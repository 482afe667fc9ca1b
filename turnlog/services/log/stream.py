"""Following a feed: replay from a cursor, then wait, then read on. Everything that reads on uses this.

A reader has a cursor and no queue. One that is slow, or never comes back, costs nothing.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta

from turnlog.domain.chunks import Chunk, Event
from turnlog.domain.ids import SessionId
from turnlog.domain.pages import EVENT_OVERHEAD_BYTES, MAX_PAGE_BYTES, Page, fill
from turnlog.ports.feeds import E, Feed, K

_MAX_ENTRIES = 20


async def follow(feed: Feed[K, E], key: K, after: int, timeout: timedelta) -> AsyncGenerator[Sequence[E]]:
    """Yield the entries later than `after`, in order and without a gap, as long as the caller asks.

    An empty list means that the reader has caught up. The next list comes at most `timeout` later.
    """
    with feed.watch(key) as tail:
        page = Page[E]()
        while True:
            if not _without_gap(page, after):  # nothing, or something behind a gap
                page = await feed.read(key, after, _MAX_ENTRIES)
            while following := _without_gap(page, after):
                after = following[-1].cursor
                yield following
                del following  # while the next page is read, this one is not kept
                page = await feed.read(key, after, _MAX_ENTRIES) if page.has_more else Page[E]()
            yield ()
            page = Page(await tail.wait(after, timeout))


async def follow_events(
    log: Feed[SessionId, Chunk], session_id: SessionId, after: int, timeout: timedelta, first: Sequence[Event] = ()
) -> AsyncGenerator[Sequence[Event]]:
    """`follow` for one session: the events of one chunk, or of a part of a large one, at a time.

    `first` are the events directly after `after` that the caller has already. They are not read again.
    """
    if first:
        yield first
        after = first[-1].sequence
    async with aclosing(follow(_CutChunks(log), session_id, after, timeout)) as batches:
        async for chunks in batches:
            for chunk in chunks:
                # A reader may have read a part of the chunk, and be woken with all of it.
                events = chunk.events[max(0, after + 1 - chunk.first) :]
                after = max(after, chunk.last)
                yield events
            if not chunks:
                yield ()


class _CutChunks:
    """The log, except that a page is small even if its only chunk is large: the rest of that chunk is read later."""

    def __init__(self, log: Feed[SessionId, Chunk]) -> None:
        self._log = log
        self.watch = log.watch

    async def read(self, session_id: SessionId, after: int, limit: int, /) -> Page[Chunk]:
        page = await self._log.read(session_id, after, limit)
        if len(page) != 1 or page.size <= MAX_PAGE_BYTES:
            return page
        later = (event for event in page[0].events if event.sequence > after)
        sized = ((event, EVENT_OVERHEAD_BYTES + len(event.model_dump_json())) for event in later)
        events = fill(sized, None, MAX_PAGE_BYTES)
        return Page([page[0].model_copy(update={"events": tuple(events)})], has_more=True, size=events.size)


def _without_gap(entries: Sequence[E], after: int) -> Sequence[E]:
    """The first of `entries`. What is behind a gap is read again later."""
    following: list[E] = []
    for entry in entries:
        if not entry.continues(after):
            break
        following.append(entry)
        after = entry.cursor
    return following
