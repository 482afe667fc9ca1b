"""Feeds within one process: what readers share, when they poll, and that a slow reader never misses an entry."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from turnlog.stores.following import Feeds, Polling

pytestmark = pytest.mark.anyio

SOON, LONG = timedelta(milliseconds=20), timedelta(seconds=10)
KEY = "key"


@dataclass(frozen=True)
class Entry:
    cursor: int
    size: int = 1

    def continues(self, after: int) -> bool:
        return after == self.cursor - 1


class Store:
    """What other processes append: entries at some of the cursors up to `end`. Notes from where it is polled."""

    def __init__(self) -> None:
        self.cursors: list[int] = []
        self.end = 0
        self.polled: list[int] = []

    async def poll(self, key: str, after: int) -> tuple[Sequence[Entry], int]:
        self.polled.append(after)
        return [Entry(cursor) for cursor in self.cursors if cursor > after], max(after, self.end)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def polled(store: Store) -> Feeds[str, Entry]:
    return Feeds(4, Polling(store.poll, min_pause=0.001, max_pause=0.002))


def _append(feeds: Feeds[str, Entry], *cursors: int) -> None:
    for cursor in cursors:
        feeds.extend(KEY, cursor - 1, Entry(cursor))


def _cursors(entries: Sequence[Entry]) -> list[int]:
    return [entry.cursor for entry in entries]


async def test_only_the_newest_entries_are_kept() -> None:
    feeds = Feeds[str, Entry](4)
    with feeds.watch(KEY) as tail:
        _append(feeds, *range(1, 11))

        assert _cursors(await tail.wait(6, LONG)) == [7, 8, 9, 10]
        assert await tail.wait(5, LONG) == ()


async def test_after_a_hole_earlier_readers_read_the_store() -> None:
    feeds = Feeds[str, Entry](4)
    with feeds.watch(KEY) as tail:
        _append(feeds, 1, 2, 4, 3)

        assert await tail.wait(1, LONG) == ()
        assert _cursors(await tail.wait(3, LONG)) == [4]


async def test_a_reader_that_found_nothing_in_the_store_waits_for_the_next_entry() -> None:
    feeds = Feeds[str, Entry](4)
    with feeds.watch(KEY) as tail:
        _append(feeds, 1, 2, 4)
        assert await tail.wait(1, LONG) == ()

        assert await tail.wait(1, SOON) == ()
        _append(feeds, 5)
        assert _cursors(await tail.wait(1, LONG)) == [5]


async def test_cursors_without_an_entry_are_polled_once(store: Store, polled: Feeds[str, Entry]) -> None:
    store.end = 50
    with polled.watch(KEY) as tail:
        while not store.polled:
            assert await tail.wait(7, SOON) == ()
        store.cursors, store.end = [60], 60

        assert _cursors(await tail.wait(7, LONG)) == [60]

    assert store.polled[0] == 7
    assert set(store.polled[1:]) == {50}


async def test_a_reader_behind_the_first_poll_is_polled_for(store: Store, polled: Feeds[str, Entry]) -> None:
    store.cursors, store.end = [30, 40], 50
    with polled.watch(KEY) as ahead, polled.watch(KEY) as behind:
        first = asyncio.create_task(ahead.wait(45, LONG))
        await asyncio.wait([first], timeout=0.02)

        assert _cursors(await behind.wait(35, LONG)) == [40]
        assert not first.done()
        first.cancel()


async def test_one_reader_polls_and_another_takes_over(store: Store, polled: Feeds[str, Entry]) -> None:
    with polled.watch(KEY) as tail, polled.watch(KEY, polls=False) as lazy:
        leaving, staying, late = (asyncio.create_task(each.wait(0, LONG)) for each in (tail, tail, lazy))
        await asyncio.wait([leaving], timeout=0.02)
        leaving.cancel()
        await asyncio.wait([leaving])
        store.cursors, store.end = [1], 1

        assert _cursors(await staying) == _cursors(await late) == [1]


async def test_a_reader_without_polls_does_not_poll(store: Store, polled: Feeds[str, Entry]) -> None:
    with polled.watch(KEY, polls=False) as tail:
        assert await tail.wait(0, SOON) == ()

    assert store.polled == []


async def test_an_entry_that_a_reader_ignores_does_not_end_its_wait() -> None:
    feeds = Feeds[str, Entry](4)
    with feeds.watch(KEY) as tail:
        waiting = asyncio.create_task(tail.wait(0, LONG, lambda entry: entry.cursor == 1))
        await asyncio.sleep(0)
        _append(feeds, 1)
        await asyncio.sleep(0)
        assert not waiting.done()
        _append(feeds, 2)

        assert _cursors(await waiting) == [1, 2]


async def test_a_reader_that_ignores_entries_is_not_polled_for(store: Store, polled: Feeds[str, Entry]) -> None:
    with polled.watch(KEY, polls=False) as lazy, polled.watch(KEY) as tail:
        ignoring = asyncio.create_task(lazy.wait(0, LONG, lambda _: True))
        await asyncio.sleep(0)
        _append(polled, *range(1, 11))
        while not store.polled:
            assert await tail.wait(10, SOON) == ()
        ignoring.cancel()

    assert set(store.polled) == {10}


async def test_a_reader_that_ignores_entries_learns_of_what_another_reader_polled_for(
    store: Store, polled: Feeds[str, Entry]
) -> None:
    store.cursors, store.end = [6], 6
    with polled.watch(KEY, polls=False) as lazy, polled.watch(KEY) as tail:
        ignoring = asyncio.create_task(lazy.wait(5, LONG, lambda _: False))
        await asyncio.sleep(0)
        while not ignoring.done():
            await tail.wait(6, SOON)

    assert _cursors(await ignoring) == [6]


async def test_a_reader_that_polls_may_ignore_entries(store: Store, polled: Feeds[str, Entry]) -> None:
    with polled.watch(KEY) as tail:
        assert await tail.wait(0, SOON, lambda _: True) == ()
        store.cursors, store.end = [1], 1

        assert _cursors(await tail.wait(0, LONG, lambda _: False)) == [1]
