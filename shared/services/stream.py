"""Following a session's log: replay from a cursor, then wait, then read on. The only reader there is."""

from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

from shared.domain.chunks import (
    Chunk,
    Event,
)
from shared.domain.ids import SessionId
from shared.ports import SessionLog

_PAGE = 20  # chunks, each up to a posted body's size: what a reader that never reads may hold


async def follow(
    log: SessionLog, session_id: SessionId, after: int, patience: timedelta
) -> AsyncGenerator[Sequence[Event], None]:
    """Yield the events later than `after`, in order and without a gap, as long as the caller goes on asking.

    An empty list says that the reader has caught up; the next one comes after at most `patience`. The reader owns a
    cursor, not a queue: one that is slow, or never comes back, costs nobody anything.
    """
    with log.watch(session_id) as tail:
        chunks: Sequence[Chunk] = ()
        while True:
            chunks = chunks or await log.read(session_id, after, _PAGE)
            while chunks:
                for chunk in chunks:
                    events = _later(chunk, after)
                    if not events:
                        break
                    after = chunk.last
                    yield events
                chunks = await log.read(session_id, after, _PAGE) if len(chunks) == _PAGE else ()
            yield ()
            chunks = await tail.wait(after, patience)


def _later(chunk: Chunk, after: int) -> Sequence[Event]:
    """What `chunk` adds to a reader at `after`; nothing if it begins beyond a hole, which is then read again."""
    return chunk.events[max(0, after + 1 - chunk.first) :] if chunk.first <= after + 1 else ()
