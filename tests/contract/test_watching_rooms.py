"""Watching a room: a watcher misses nothing that is appended after it began to watch, however slow it is."""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import pytest

from tests.contract.factories import append_at_end, append_events, create_session
from turnlog.domain.events import Outside, SessionUpdated
from turnlog.domain.ids import owner_hash
from turnlog.domain.rooms import FIRST_CURSOR, Room, RoomEntry
from turnlog.domain.session import SessionState
from turnlog.ports import RoomFeed, SessionLog
from turnlog.services.projects.rooms import Rooms

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("time_limit")]

LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=1)
ROOM = Room(owner_hash("owner"))
PROJECT = Room(owner_hash("owner"), "project")
NOTE = SessionUpdated(changes={"session_name": "now"})
PROGRESS = Outside(event_type="progress")


async def _cursors(feed: RoomFeed, after: int) -> list[int]:
    return [entry.cursor for entry in await feed.read(ROOM, after, 1000)]


def _types(entries: Sequence[RoomEntry]) -> list[list[str]]:
    return [[event.type for event in entry.events] for entry in entries]


async def test_a_watcher_gets_what_is_appended_after_it_began_to_watch(log: SessionLog, feed: RoomFeed) -> None:
    state = await create_session(log, project_id="project")
    now = await feed.newest_cursor(ROOM)
    with feed.watch(ROOM) as one, feed.watch(ROOM) as another, feed.watch(PROJECT) as of_project:
        state = await append_events(log, state, NOTE)
        found, in_project = await one.wait(now, LONG), await of_project.wait(now, LONG)

        assert _types(found) == _types(in_project) == [["session.updated"]]
        assert found[0] is (await another.wait(now, LONG))[0]  # encoded once for all
        assert found[0].session == state
        assert await one.wait(found[0].cursor, SHORT) == ()


async def test_a_watcher_is_not_woken_by_another_room(log: SessionLog, feed: RoomFeed) -> None:
    with feed.watch(PROJECT) as tail:
        await create_session(log)
        await create_session(log, project_id="project", owner="another")

        assert await tail.wait(FIRST_CURSOR, SHORT) == ()


async def test_when_watchers_leave_the_others_are_still_woken(log: SessionLog, feed: RoomFeed) -> None:
    state = await create_session(log)
    now = await feed.newest_cursor(ROOM)
    with feed.watch(ROOM) as first, feed.watch(ROOM) as second, feed.watch(ROOM) as third:
        leaving = [asyncio.create_task(tail.wait(now, LONG)) for tail in (first, second)]
        staying = asyncio.create_task(third.wait(now, LONG))
        for each in leaving:
            await asyncio.wait([each], timeout=0.2)
            each.cancel()
        await append_events(log, state, NOTE)

        assert _types(await staying) == [["session.updated"]]


async def test_a_watcher_misses_nothing_if_another_one_is_ahead_of_it(log: SessionLog, feed: RoomFeed) -> None:
    state = await create_session(log)
    before = await feed.newest_cursor(ROOM)
    with feed.watch(ROOM) as behind, feed.watch(ROOM) as ahead:
        assert await feed.read(ROOM, before, 10) == []
        await append_events(log, state, NOTE)
        now = await feed.newest_cursor(ROOM)
        watching = asyncio.create_task(ahead.wait(now, LONG))
        await asyncio.wait([watching], timeout=0.2)

        found = await behind.wait(before, LONG) or await feed.read(ROOM, before, 10)

        assert _types(found) == [["session.updated"]]
        watching.cancel()


async def test_fast_and_slow_watchers_see_everything_once(log: SessionLog, feed: RoomFeed) -> None:
    states = [await create_session(log) for _ in range(5)]
    now = await feed.newest_cursor(ROOM)
    async with asyncio.TaskGroup() as group:
        watching = [group.create_task(_watch(Rooms(feed, log), now, 100, pause=pause)) for pause in (0, 0, 1, 3, 20)]
        for state in states:
            group.create_task(_go_on(log, state, 20))

    whole = await _cursors(feed, now)
    assert len(whole) == 100
    for task in watching:
        assert task.result() == whole


async def test_an_appender_that_is_cancelled_leaves_no_hole(log: SessionLog, feed: RoomFeed) -> None:
    states = [await create_session(log) for _ in range(20)]
    now = await feed.newest_cursor(ROOM)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_watch(Rooms(feed, log), now, 40, timeout=timedelta(milliseconds=50)))
        for state in states:
            appending = asyncio.create_task(append_at_end(log, state.session_id, PROGRESS))
            await asyncio.sleep(0)
            appending.cancel()
            with suppress(asyncio.CancelledError):
                await appending
        while len(await _cursors(feed, now)) < 40:
            await append_at_end(log, states[0].session_id, PROGRESS)

    assert watching.result() == await _cursors(feed, now)


async def test_what_another_process_appends_is_seen(log: SessionLog, elsewhere: SessionLog, feed: RoomFeed) -> None:
    state = await create_session(log)
    now = await feed.newest_cursor(ROOM)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_watch(Rooms(feed, log), now, 9, timeout=timedelta(milliseconds=50)))
        for process in (log, elsewhere, elsewhere) * 3:
            state = await append_events(process, state, PROGRESS)

    assert watching.result() == await _cursors(feed, now)


async def _go_on(log: SessionLog, state: SessionState, times: int) -> None:
    for _ in range(times):
        state = await append_events(log, state, PROGRESS)


async def _watch(rooms: Rooms, after: int, many: int, *, pause: int = 0, timeout: timedelta = LONG) -> list[int]:
    """The cursors of the next `many` entries, for a watcher that lets others run in between."""
    seen: list[int] = []
    following = rooms.follow(ROOM, after, timeout)
    async for entries in following:
        seen += [entry.cursor for entry in entries]
        for _ in itertools.repeat(None, pause):
            await asyncio.sleep(0)
        if len(seen) >= many:
            break
    await following.aclose()
    return seen
