"""What a reader receives if the feed wakes it with something else than what comes next."""

from collections.abc import Generator, Sequence
from contextlib import aclosing, contextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.domain.factories import SESSION, THEN
from turnlog.domain.chunks import Chunk, Draft, sequenced
from turnlog.domain.events import Outside
from turnlog.domain.ids import SessionId, WriterId
from turnlog.domain.pages import Page
from turnlog.services.log.stream import follow_events

pytestmark = pytest.mark.anyio


def chunk(first: int, last: int) -> Chunk:
    drafts = [Draft(data=Outside(event_type="x"))] * (last - first + 1)
    return Chunk(session_id=SESSION, writer=WriterId("w"), events=sequenced(drafts, first - 1, THEN))


class ScriptedFeed:
    """A feed whose reads and waits return what a test says, one after the other."""

    def __init__(self, reads: Sequence[Page[Chunk]], waits: Sequence[Sequence[Chunk]]) -> None:
        self._reads = list(reads)
        self._waits = list(waits)

    async def read(self, session_id: SessionId, after: int, limit: int, /) -> Page[Chunk]:
        return self._reads.pop(0)

    @contextmanager
    def watch(self, session_id: SessionId, /, *, polls: bool = True) -> Generator["ScriptedFeed"]:
        yield self

    async def wait(self, after: int, timeout: timedelta, ignores: object = None) -> Sequence[Chunk]:
        return self._waits.pop(0)


async def received(feed: Any, until: int) -> list[int]:
    sequences: list[int] = []
    async with aclosing(follow_events(feed, SESSION, 0, timedelta(0))) as batches:
        async for events in batches:
            sequences += [event.sequence for event in events]
            if until in sequences:
                return sequences
    return sequences


async def test_a_reader_that_is_woken_behind_a_gap_reads_the_store() -> None:
    feed = ScriptedFeed([Page([chunk(1, 2)]), Page([chunk(3, 4), chunk(5, 5)])], [[chunk(5, 5)]])

    assert await received(feed, 5) == [1, 2, 3, 4, 5]


async def test_a_reader_that_has_a_part_of_a_chunk_gets_only_the_rest_of_it() -> None:
    part = chunk(1, 3).model_copy(update={"events": chunk(1, 2).events})
    feed = ScriptedFeed([Page([part])], [[chunk(1, 3), chunk(4, 4)]])

    assert await received(feed, 4) == [1, 2, 3, 4]
