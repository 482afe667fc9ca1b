"""Following a feed: replay from a cursor, then wait, then read on. Everything that reads on uses this.

A reader has a cursor and no queue. One that is slow, or never comes back, costs nothing.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta

from shared.domain.chunks import Chunk, Event
from shared.domain.ids import SessionId
from shared.ports.feeds import E, Feed, K

_PAGE = 20  # entries, each as large as a posted body: what a reader that never reads may hold in memory


async def follow(feed: Feed[K, E], key: K, after: int, timeout: timedelta) -> AsyncGenerator[Sequence[E]]:
    """Yield the entries later than `after`, in order and without a gap, as long as the caller asks.

    An empty list means that the reader has caught up. The next list comes at most `timeout` later.
    """
    with feed.watch(key) as tail:
        entries: Sequence[E] = ()
        while True:
            entries = entries or await feed.read(key, after, _PAGE)
            while following := _without_gap(entries, after):
                after = following[-1].cursor
                yield following
                entries = await feed.read(key, after, _PAGE) if len(entries) == _PAGE else ()
            yield ()
            entries = await tail.wait(after, timeout)


async def follow_events(
    log: Feed[SessionId, Chunk], session_id: SessionId, after: int, timeout: timedelta
) -> AsyncGenerator[Sequence[Event]]:
    """`follow` for one session: the events of one chunk at a time."""
    async with aclosing(follow(log, session_id, after, timeout)) as batches:
        async for chunks in batches:
            for chunk in chunks:
                yield chunk.events[max(0, after + 1 - chunk.first) :]
            if not chunks:
                yield ()


def _without_gap(entries: Sequence[E], after: int) -> Sequence[E]:
    """The first of `entries`. What is behind a gap is read again later."""
    following: list[E] = []
    for entry in entries:
        if not entry.continues(after):
            break
        following.append(entry)
        after = entry.cursor
    return following
