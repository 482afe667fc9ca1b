"""Rooms: each has an entry for every chunk that concerns it, in order, and is read from any cursor."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest

from shared.domain.errors import SequenceTakenError
from shared.domain.events import EventData, Outside, SessionDeleted, SessionUpdated, Status, TokenUsage, UserMessage
from shared.domain.rooms import FIRST_CURSOR, Room, RoomEntry
from shared.domain.session import SessionState
from shared.ports import RoomFeed, SessionLog
from shared.services.rooms import Rooms
from shared.stores import Stores
from tests.contract.factories import RUN, begin, delta, go_on, settle
from tests.contract.stores import Store

pytestmark = pytest.mark.anyio

EIGHT_DAYS_AGO = time.time() - 8 * 24 * 60 * 60
LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=1)
ROOM = Room("owner")
PROJECT = Room("owner", "project")
NOTE = SessionUpdated(changes={"session_name": "now"})
PROGRESS = Outside(event_type="progress")
USAGE = TokenUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2, model="fake", agent="assistant", iteration=1)


@pytest.fixture(autouse=True)
async def time_limit() -> AsyncGenerator[None]:
    """Cancels a test whose watcher is not woken, instead of waiting for the watcher's timeout."""
    task = asyncio.current_task()
    assert task is not None
    end = asyncio.get_running_loop().call_later(60, task.cancel)
    yield
    end.cancel()


@pytest.fixture
async def feed(database: Store, stores: Stores) -> AsyncGenerator[RoomFeed]:
    async with database.rooms(stores) as rooms:
        yield rooms


async def _entries(feed: RoomFeed, room: Room = ROOM, after: int = FIRST_CURSOR) -> Sequence[RoomEntry]:
    return await feed.read(room, after, 1000)


def _types(entries: Sequence[RoomEntry]) -> list[list[str]]:
    return [[event.type for event in entry.events] for entry in entries]


async def test_a_room_holds_everything_except_deltas(log: SessionLog, feed: RoomFeed) -> None:
    state = await begin(log)
    state = await go_on(log, state, UserMessage(content="Hello"), RUN)
    state = await go_on(log, state, delta())
    state = await go_on(log, state, delta(), USAGE, delta())

    entries = await _entries(feed)

    assert _types(entries) == [["session.created"], ["user_message", "run.start"], ["token_usage"]]
    assert {entry.session_id for entry in entries} == {state.session_id}


@pytest.mark.parametrize("event", [NOTE, UserMessage(content="Hello"), Status(status="stalled")])
async def test_an_entry_holds_the_session_where_it_changed(log: SessionLog, feed: RoomFeed, event: EventData) -> None:
    state = await begin(log)
    state = await go_on(log, state, PROGRESS)
    state = await go_on(log, state, event)

    entries = await _entries(feed)

    assert [entry.session and entry.session.session_id for entry in entries] == [
        state.session_id,
        None,
        state.session_id,
    ]
    assert entries[-1].session == state


async def test_a_projects_room_holds_only_its_owners_sessions_of_this_project(log: SessionLog, feed: RoomFeed) -> None:
    mine = await begin(log, project_id="project")
    loose = await begin(log)
    elsewhere = await begin(log, project_id="other")
    theirs = await begin(log, project_id="project", owner="another")

    rooms = (ROOM, PROJECT, Room("another", "project"))
    sessions = [{entry.session_id for entry in await _entries(feed, room)} for room in rooms]

    assert sessions == [
        {mine.session_id, loose.session_id, elsewhere.session_id},
        {mine.session_id},
        {theirs.session_id},
    ]


async def test_a_reader_resumes_before_or_after_any_entry(log: SessionLog, feed: RoomFeed) -> None:
    states = [await begin(log, project_id="project" if number % 2 else None) for number in range(4)]
    for state in states:
        await go_on(log, state, USAGE)

    for room in (ROOM, PROJECT):
        entries = await _entries(feed, room)
        cursors = [entry.cursor for entry in entries]
        assert len(set(cursors)) == len(cursors)
        for index, entry in enumerate(entries):
            assert [each.cursor for each in await _entries(feed, room, entry.before)] == cursors[index:]
            assert [each.cursor for each in await _entries(feed, room, entry.cursor)] == cursors[index + 1 :]
            assert [each.cursor for each in await feed.read(room, entry.before, 2)] == cursors[index : index + 2]


async def test_after_the_newest_cursor_only_later_entries_follow(log: SessionLog, feed: RoomFeed) -> None:
    state = await begin(log)
    now = await feed.newest_cursor(ROOM)
    assert await _entries(feed, ROOM, now) == []

    await go_on(log, state, PROGRESS)

    assert _types(await _entries(feed, ROOM, now)) == [["progress"]]


async def test_a_chunk_that_is_refused_has_no_entry(log: SessionLog, feed: RoomFeed) -> None:
    before = await begin(log)
    await go_on(log, before, PROGRESS)

    with suppress(SequenceTakenError):
        await go_on(log, before, NOTE)

    assert _types(await _entries(feed)) == [["session.created"], ["progress"]]


async def test_of_a_deleted_session_only_the_deletion_is_shown(log: SessionLog, feed: RoomFeed) -> None:
    state = await begin(log)
    state = await go_on(log, state, UserMessage(content="Hello"), RUN)
    await go_on(log, state, SessionDeleted())
    deleted = await _entries(feed)

    await log.clear(state.session_id)
    cleared = await _entries(feed)

    for entries in (deleted, cleared):
        assert [(entry.session_id, entry.deletes) for entry in entries if entry.events or entry.deletes] == [
            (state.session_id, True)
        ]
        assert all(entry.session is None for entry in entries)
    assert _types(cleared)[-1] in ([], ["session.deleted"])  # its log may be cleared before its entry


async def test_a_cursor_beyond_the_end_is_replaced_by_the_newest_one(log: SessionLog, feed: RoomFeed) -> None:
    await begin(log)
    now, rooms = await feed.newest_cursor(ROOM), Rooms(feed, log)

    assert await rooms.existing_cursor(ROOM, FIRST_CURSOR) == FIRST_CURSOR
    assert await rooms.existing_cursor(ROOM, now) == now
    assert await rooms.existing_cursor(ROOM, now * 10000) == now


async def test_a_watcher_gets_what_is_appended_after_it_began_to_watch(log: SessionLog, feed: RoomFeed) -> None:
    state = await begin(log, project_id="project")
    now = await feed.newest_cursor(ROOM)
    with feed.watch(ROOM) as one, feed.watch(ROOM) as another, feed.watch(PROJECT) as of_project:
        state = await go_on(log, state, NOTE)
        found, in_project = await one.wait(now, LONG), await of_project.wait(now, LONG)

        assert _types(found) == _types(in_project) == [["session.updated"]]
        assert found[0] is (await another.wait(now, LONG))[0]  # encoded once for all
        assert found[0].session == state
        assert await one.wait(found[0].cursor, SHORT) == ()


async def test_a_watcher_is_not_woken_by_another_room(log: SessionLog, feed: RoomFeed) -> None:
    with feed.watch(PROJECT) as tail:
        await begin(log)
        await begin(log, project_id="project", owner="another")

        assert await tail.wait(FIRST_CURSOR, SHORT) == ()


async def test_when_watchers_leave_the_others_are_still_woken(log: SessionLog, feed: RoomFeed) -> None:
    state = await begin(log)
    now = await feed.newest_cursor(ROOM)
    with feed.watch(ROOM) as first, feed.watch(ROOM) as second, feed.watch(ROOM) as third:
        leaving = [asyncio.create_task(tail.wait(now, LONG)) for tail in (first, second)]
        staying = asyncio.create_task(third.wait(now, LONG))
        for each in leaving:
            await asyncio.wait([each], timeout=0.2)
            each.cancel()
        await go_on(log, state, NOTE)

        assert _types(await staying) == [["session.updated"]]


async def test_a_watcher_misses_nothing_if_another_one_is_ahead_of_it(log: SessionLog, feed: RoomFeed) -> None:
    state = await begin(log)
    before = await feed.newest_cursor(ROOM)
    with feed.watch(ROOM) as behind, feed.watch(ROOM) as ahead:
        assert await feed.read(ROOM, before, 10) == []
        await go_on(log, state, NOTE)
        now = await feed.newest_cursor(ROOM)
        watching = asyncio.create_task(ahead.wait(now, LONG))
        await asyncio.wait([watching], timeout=0.2)

        found = await behind.wait(before, LONG) or await feed.read(ROOM, before, 10)

        assert _types(found) == [["session.updated"]]
        watching.cancel()


async def test_fast_and_slow_watchers_see_everything_once(log: SessionLog, feed: RoomFeed) -> None:
    states = [await begin(log) for _ in range(5)]
    now = await feed.newest_cursor(ROOM)
    async with asyncio.TaskGroup() as group:
        watching = [group.create_task(_watch(Rooms(feed, log), now, 100, pause=pause)) for pause in (0, 0, 1, 3, 20)]
        for state in states:
            group.create_task(_go_on(log, state, 20))

    whole = [entry.cursor for entry in await _entries(feed, ROOM, now)]
    assert len(whole) == 100
    for task in watching:
        assert task.result() == whole


async def test_an_appender_that_is_cancelled_leaves_no_hole(log: SessionLog, feed: RoomFeed) -> None:
    states = [await begin(log) for _ in range(20)]
    now = await feed.newest_cursor(ROOM)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_watch(Rooms(feed, log), now, 40, timeout=timedelta(milliseconds=50)))
        for state in states:
            appending = asyncio.create_task(settle(log, state.session_id, PROGRESS))
            await asyncio.sleep(0)
            appending.cancel()
            with suppress(asyncio.CancelledError):
                await appending
        while len(await _entries(feed, ROOM, now)) < 40:
            await settle(log, states[0].session_id, PROGRESS)

    assert watching.result() == [entry.cursor for entry in await _entries(feed, ROOM, now)]


async def test_what_another_process_appends_is_seen(log: SessionLog, elsewhere: SessionLog, feed: RoomFeed) -> None:
    state = await begin(log)
    now = await feed.newest_cursor(ROOM)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_watch(Rooms(feed, log), now, 9, timeout=timedelta(milliseconds=50)))
        for process in (log, elsewhere, elsewhere) * 3:
            state = await go_on(process, state, PROGRESS)

    assert watching.result() == [entry.cursor for entry in await _entries(feed, ROOM, now)]


@pytest.mark.needs("a settable clock")
async def test_entries_expire_after_seven_days(
    database: Store, log: SessionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("shared.stores.sqlite.rooms.time.time", lambda: EIGHT_DAYS_AGO)
        state = await go_on(log, await begin(log), PROGRESS)
    await go_on(log, state, PROGRESS)

    reopened = database.open()
    left = await _entries(reopened.rooms)
    await reopened.log.close()

    assert _types(left) == [["progress"]]


async def _go_on(log: SessionLog, state: SessionState, times: int) -> None:
    for _ in range(times):
        state = await go_on(log, state, PROGRESS)


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
