"""Rooms: each has an entry for every chunk that concerns it, in order, and is read from any cursor."""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import pytest

from tests.contract.factories import RUN, append_events, create_session, delta
from tests.contract.stores import Database
from turnlog.domain.errors import SequenceTakenError
from turnlog.domain.events import EventData, Outside, SessionDeleted, SessionUpdated, Status, TokenUsage, UserMessage
from turnlog.domain.ids import owner_hash
from turnlog.domain.rooms import FIRST_CURSOR, Room, RoomEntry
from turnlog.ports import RoomFeed, SessionLog
from turnlog.services.projects.rooms import Rooms

pytestmark = pytest.mark.anyio

EIGHT_DAYS_AGO = time.time() - 8 * 24 * 60 * 60
LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=1)
ROOM = Room(owner_hash("owner"))
PROJECT = Room(owner_hash("owner"), "project")
NOTE = SessionUpdated(changes={"session_name": "now"})
PROGRESS = Outside(event_type="progress")
USAGE = TokenUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2, model="fake", agent="assistant", iteration=1)


async def _entries(feed: RoomFeed, room: Room = ROOM, after: int = FIRST_CURSOR) -> Sequence[RoomEntry]:
    return await feed.read(room, after, 1000)


def _types(entries: Sequence[RoomEntry]) -> list[list[str]]:
    return [[event.type for event in entry.events] for entry in entries]


async def test_a_room_holds_everything_except_deltas(log: SessionLog, feed: RoomFeed) -> None:
    state = await create_session(log)
    state = await append_events(log, state, UserMessage(content="Hello"), RUN)
    state = await append_events(log, state, delta())
    state = await append_events(log, state, delta(), USAGE, delta())

    entries = await _entries(feed)

    assert _types(entries) == [["session.created"], ["user_message", "run.start"], ["token_usage"]]
    assert {entry.session_id for entry in entries} == {state.session_id}


@pytest.mark.parametrize("event", [NOTE, UserMessage(content="Hello"), Status(status="stalled")])
async def test_an_entry_holds_the_session_where_it_changed(log: SessionLog, feed: RoomFeed, event: EventData) -> None:
    state = await create_session(log)
    state = await append_events(log, state, PROGRESS)
    state = await append_events(log, state, event)

    entries = await _entries(feed)

    assert [entry.session and entry.session.session_id for entry in entries] == [
        state.session_id,
        None,
        state.session_id,
    ]
    assert entries[-1].session == state


async def test_a_projects_room_holds_only_its_owners_sessions_of_this_project(log: SessionLog, feed: RoomFeed) -> None:
    mine = await create_session(log, project_id="project")
    loose = await create_session(log)
    elsewhere = await create_session(log, project_id="other")
    theirs = await create_session(log, project_id="project", owner="another")

    rooms = (ROOM, PROJECT, Room(owner_hash("another"), "project"))
    sessions = [{entry.session_id for entry in await _entries(feed, room)} for room in rooms]

    assert sessions == [
        {mine.session_id, loose.session_id, elsewhere.session_id},
        {mine.session_id},
        {theirs.session_id},
    ]


async def test_a_reader_resumes_before_or_after_any_entry(log: SessionLog, feed: RoomFeed) -> None:
    states = [await create_session(log, project_id="project" if number % 2 else None) for number in range(4)]
    for state in states:
        await append_events(log, state, USAGE)

    for room in (ROOM, PROJECT):
        entries = await _entries(feed, room)
        cursors = [entry.cursor for entry in entries]
        assert len(set(cursors)) == len(cursors)
        for index, entry in enumerate(entries):
            assert [each.cursor for each in await _entries(feed, room, entry.before)] == cursors[index:]
            assert [each.cursor for each in await _entries(feed, room, entry.cursor)] == cursors[index + 1 :]
            assert [each.cursor for each in await feed.read(room, entry.before, 2)] == cursors[index : index + 2]


async def test_after_the_newest_cursor_only_later_entries_follow(log: SessionLog, feed: RoomFeed) -> None:
    state = await create_session(log)
    now = await feed.newest_cursor(ROOM)
    assert await _entries(feed, ROOM, now) == []

    await append_events(log, state, PROGRESS)

    assert _types(await _entries(feed, ROOM, now)) == [["progress"]]


async def test_a_chunk_that_is_refused_has_no_entry(log: SessionLog, feed: RoomFeed) -> None:
    before = await create_session(log)
    await append_events(log, before, PROGRESS)

    with suppress(SequenceTakenError):
        await append_events(log, before, NOTE)

    assert _types(await _entries(feed)) == [["session.created"], ["progress"]]


async def test_of_a_deleted_session_only_the_deletion_is_shown(log: SessionLog, feed: RoomFeed) -> None:
    state = await create_session(log)
    state = await append_events(log, state, UserMessage(content="Hello"), RUN)
    await append_events(log, state, SessionDeleted())
    deleted = await _entries(feed)

    await log.clear(state.session_id)
    cleared = await _entries(feed)

    for entries in (deleted, cleared):
        assert [(entry.session_id, entry.is_deletion) for entry in entries if entry.events or entry.is_deletion] == [
            (state.session_id, True)
        ]
        assert all(entry.session is None for entry in entries)
    assert _types(cleared)[-1] in ([], ["session.deleted"])  # its log may be cleared before its entry


async def test_a_cursor_beyond_the_end_is_replaced_by_the_newest_one(log: SessionLog, feed: RoomFeed) -> None:
    await create_session(log)
    now, rooms = await feed.newest_cursor(ROOM), Rooms(feed, log)

    assert await rooms.existing_cursor(ROOM, FIRST_CURSOR) == FIRST_CURSOR
    assert await rooms.existing_cursor(ROOM, now) == now
    assert await rooms.existing_cursor(ROOM, now * 10000) == now


@pytest.mark.needs("a settable clock")
async def test_entries_expire_after_seven_days(
    database: Database, log: SessionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("turnlog.stores.sqlite.rooms.time.time", lambda: EIGHT_DAYS_AGO)
        state = await append_events(log, await create_session(log), PROGRESS)
    await append_events(log, state, PROGRESS)

    reopened = database.open()
    left = await _entries(reopened.rooms)
    await reopened.log.close()

    assert _types(left) == [["progress"]]
