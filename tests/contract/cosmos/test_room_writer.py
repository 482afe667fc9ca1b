"""Rooms get each entry once and in order, however often and on however many instances a batch is delivered."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.contract.change_feed import cosmos_services, document_list
from tests.contract.factories import RUN, THEN, append_events, chunk, create_session, delta, session_id
from tests.contract.stores import CosmosDatabase, cosmos_database, wire_server
from turnlog.changes.feed import chunks_in, states_in
from turnlog.changes.rooms import write_rooms
from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.events import Outside, RunComplete, SessionDeleted, Status, UserMessage
from turnlog.domain.ids import SessionId, owner_hash
from turnlog.domain.rooms import FIRST_CURSOR, Room, RoomEntry
from turnlog.domain.session import SessionState
from turnlog.local.host.feeds import ChangeFeed
from turnlog.ports import SessionLog
from turnlog.services.fork import ForkRequest, Forks
from turnlog.stores.cosmos.database import Database
from turnlog.stores.cosmos.items import STATE_ID, chunk_item
from turnlog.stores.cosmos.room_items import SECONDS_PER_DAY
from turnlog.stores.cosmos.room_writer import CosmosRoomWriter
from turnlog.stores.cosmos.rooms import CosmosRooms
from turnlog.wiring import Services, SystemClock

pytestmark = pytest.mark.anyio

ROOM = Room(owner_hash("owner"))
EIGHT_DAYS = 8 * 24 * 60 * 60
MIDNIGHT = (THEN.timestamp() // SECONDS_PER_DAY + 1) * SECONDS_PER_DAY
PROGRESS = Outside(event_type="progress")
END = RunComplete(status="completed", steps=1, usage={}, duration_ms=1, model="fake")

Item = dict[str, Any]


class Process:
    """A process on a Cosmos DB database."""

    def __init__(self, app: Services, database: Database) -> None:
        self.app = app
        self.log: SessionLog = app.log
        self.database = database

    async def changes(self) -> list[Item]:
        """All changes of the sessions, in the order of the feed."""
        feed, found = ChangeFeed(await self.database.sessions(), 1000), list[Item]()
        while batch := await feed.batch():
            found += batch
        return found

    async def break_state(self, session: SessionId) -> None:
        """Replace the stored state of a session by something that can't be read."""
        container = await self.database.sessions()
        await container.upsert_item({"id": STATE_ID, "session_id": session, "body": "{}"})

    async def entries(self, room: Room = ROOM) -> Sequence[RoomEntry]:
        return await CosmosRooms(self.database).read(room, FIRST_CURSOR, 1000)

    async def pages(self, after: int, limit: int) -> list[int]:
        """The cursors of all entries after `after`, read `limit` at a time."""
        rooms, cursors = CosmosRooms(self.database), [after]
        while entries := await rooms.read(ROOM, cursors[-1], limit):
            cursors += [entry.cursor for entry in entries]
        return cursors[1:]


@asynccontextmanager
async def _process(endpoint: str) -> AsyncGenerator[Process]:
    async with cosmos_database(endpoint) as store:
        assert isinstance(store, CosmosDatabase)
        database = Database(store.endpoint, store.name)
        async with cosmos_services(store.endpoint, store.name) as app:
            yield Process(app, database)
        await database.close()


@pytest.fixture
async def process(endpoint: str) -> AsyncGenerator[Process]:
    async with _process(endpoint) as process:
        yield process


async def _sessions(process: Process, many: int = 3) -> list[SessionState]:
    """Sessions that each had a turn."""
    states = [await create_session(process.log) for _ in range(many)]
    for data in ((UserMessage(content="Hello"), RUN), (delta(),), (PROGRESS, delta()), (END,)):
        states = [await append_events(process.log, state, *data) for state in states]
    return states


def _sequences(entries: Sequence[RoomEntry]) -> dict[SessionId, list[int]]:
    """The sequences of the events in `entries`, for each session."""
    found: dict[SessionId, list[int]] = {}
    for entry in entries:
        found.setdefault(entry.session_id, []).extend(event.sequence for event in entry.events)
    return found


async def test_repeated_and_shuffled_batches_give_each_entry_once_and_in_order(process: Process) -> None:
    states = await _sessions(process)
    changes, chance = await process.changes(), random.Random(1)
    for cut in range(0, len(changes), 12):
        for batch in (changes[cut : cut + 12], changes[max(0, cut - 5) : cut + 12]):
            await write_rooms(document_list(chance.sample(batch, len(batch))))

    assert _sequences(await process.entries()) == {state.session_id: [1, 2, 3, 5, 7] for state in states}


async def test_batches_in_reverse_order_give_each_entry_once(process: Process) -> None:
    states = await _sessions(process)
    for change in reversed(await process.changes()):
        await write_rooms(document_list([change]))

    written = {session_id: sorted(sequences) for session_id, sequences in _sequences(await process.entries()).items()}
    assert written == {state.session_id: [1, 2, 3, 5, 7] for state in states}


async def test_an_entry_holds_its_session_as_it_is_after_the_chunk_or_later(process: Process) -> None:
    before = await create_session(process.log)
    after = await append_events(process.log, before, UserMessage(content="Hello"), RUN)
    changes = await process.changes()
    assert process.app.room_writer is not None

    await process.app.room_writer.write(chunks_in(changes), {before.session_id: before})

    assert [entry.session for entry in await process.entries()] == [after, after]


async def test_instances_that_write_a_batch_at_once_write_each_entry_once(process: Process) -> None:
    states = await _sessions(process, 6)
    changes = await process.changes()

    await asyncio.gather(*(write_rooms(document_list(changes)) for _ in range(3)))

    assert _sequences(await process.entries()) == {state.session_id: [1, 2, 3, 5, 7] for state in states}


@pytest.mark.parametrize(
    "poison", [{"events": "[{}]"}, {"events": None}, {"writer": None, "epoch": None, "events": "no"}, {"kind": None}]
)
async def test_a_document_that_cannot_be_read_is_skipped(process: Process, poison: Item) -> None:
    states = await _sessions(process)
    changes = await process.changes()
    broken = next(change for change in changes if change["kind"] == "chunk" and change["first"] == 5)
    lost = broken["session_id"]
    broken.update(poison)

    await write_rooms(document_list(changes))

    assert _sequences(await process.entries()) == {
        state.session_id: [1, 2, 3, 7] if state.session_id == lost else [1, 2, 3, 5, 7] for state in states
    }


async def test_a_state_that_cannot_be_read_is_read_from_the_store(process: Process) -> None:
    states = await _sessions(process)
    changes = await process.changes()
    for change in changes:
        if change["kind"] == "state":
            change["body"] = "{}"

    await write_rooms(document_list(changes))

    assert _sequences(await process.entries()) == {state.session_id: [1, 2, 3, 5, 7] for state in states}


async def test_a_session_whose_stored_state_cannot_be_read_is_skipped(process: Process) -> None:
    broken, whole = await _sessions(process, 2)
    changes = [change for change in await process.changes() if change["kind"] == "chunk"]
    await process.break_state(broken.session_id)

    await write_rooms(document_list(changes))

    assert _sequences(await process.entries()) == {whole.session_id: [1, 2, 3, 5, 7]}


async def test_an_entry_that_cosmos_db_refuses_is_logged_and_skipped(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    state = await create_session(process.log)
    huge = chunk(state.session_id, state.head, Outside(event_type="progress", fields={"text": "x" * 2_100_000}))

    await write_rooms(
        document_list([*await process.changes(), {**chunk_item(huge), "_ts": SystemClock().now().timestamp()}])
    )

    assert _sequences(await process.entries()) == {state.session_id: [1]}
    assert "could not get 1 entries" in caplog.text


async def test_a_batch_fails_while_the_store_throttles_and_completes_later() -> None:
    with wire_server("--throttle", "60") as endpoint:
        async with _process(endpoint) as process:
            states = await _sessions(process)
            failures = 0
            while failures < 20:
                try:
                    await write_rooms(document_list(await process.changes()))
                    break
                except StoreUnavailableError:
                    failures += 1

            assert failures
            assert _sequences(await process.entries()) == {state.session_id: [1, 2, 3, 5, 7] for state in states}


@pytest.mark.parametrize("project_id", [None, "project"])
async def test_a_deletion_is_written_even_if_the_log_was_cleared_first(
    process: Process, project_id: str | None
) -> None:
    state = await create_session(process.log, project_id=project_id)
    state = await append_events(process.log, state, UserMessage(content="Hello"), RUN)
    await write_rooms(document_list(await process.changes()))
    await append_events(process.log, state, Status(status="cancelling"), SessionDeleted())
    await process.log.clear(state.session_id)

    for _ in range(2):
        await write_rooms(document_list(await process.changes()))

    for room in (ROOM, *([Room(owner_hash("owner"), project_id)] if project_id else [])):
        (entry,) = await process.entries(room)
        assert (entry.session_id, entry.is_deletion, entry.events, entry.session) == (state.session_id, True, (), None)


async def test_a_late_batch_adds_nothing_to_a_session_that_was_deleted(process: Process) -> None:
    state = await create_session(process.log)
    for _ in range(3):
        state = await append_events(process.log, state, PROGRESS)
    late = await process.changes()
    await append_events(process.log, state, SessionDeleted())
    assert process.app.room_writer is not None
    await write_rooms(document_list([change for change in late if change["kind"] == "chunk"][:2]))
    await write_rooms(document_list([*late, *await process.changes()]))

    await process.app.room_writer.write(chunks_in(late), states_in(late))

    assert [(entry.is_deletion, [event.type for event in entry.events]) for entry in await process.entries()] == [
        (True, ["session.deleted"])
    ]


async def test_all_entries_of_a_deleted_session_are_blanked_and_no_others(process: Process) -> None:
    name = session_id()
    state = await create_session(process.log, name)
    alike = await create_session(process.log, SessionId(f"{name}:1:5"))
    for _ in range(120):
        state = await append_events(process.log, state, PROGRESS)
    await write_rooms(document_list(await process.changes()))
    assert len(_sequences(await process.entries())[name]) == 121

    await append_events(process.log, state, SessionDeleted())
    await write_rooms(document_list(await process.changes()))

    assert _sequences(await process.entries()) == {alike.session_id: [1], name: [122]}


async def test_blanks_that_were_written_in_one_batch_hide_no_other_entries(process: Process) -> None:
    live, deleted = await create_session(process.log), await create_session(process.log)
    for _ in range(5):
        live, deleted = (
            await append_events(process.log, live, PROGRESS),
            await append_events(process.log, deleted, PROGRESS),
        )
    await write_rooms(document_list(await process.changes()))
    cursors = [FIRST_CURSOR, *(entry.cursor for entry in await process.entries())]
    await append_events(process.log, deleted, SessionDeleted())
    await append_events(process.log, live, PROGRESS)
    await write_rooms(document_list(await process.changes()))

    whole = await process.entries()

    assert _sequences(whole) == {live.session_id: [1, 2, 3, 4, 5, 6, 7], deleted.session_id: [7]}
    for cursor in cursors:
        following = [entry.cursor for entry in whole if int(entry.cursor) > int(cursor)]
        for limit in (1, 2, 100):
            assert await process.pages(cursor, limit) == following


async def test_a_fork_is_shown_from_its_last_copied_chunk_on(process: Process) -> None:
    (source,) = await _sessions(process, 1)
    fork, _ = await Forks(process.log, SystemClock()).fork("owner", source.session_id, ForkRequest(trace_id="0"))
    assert fork.forked_from is not None
    await append_events(process.log, fork, PROGRESS)
    changes = [change for change in await process.changes() if change["session_id"] == fork.session_id]

    # First without the state, then with everything.
    await write_rooms(
        document_list([{**change, "session_id": "unwritten"} for change in changes if change["kind"] == "chunk"])
    )
    await write_rooms(document_list(changes))

    entries = await process.entries()
    assert [entry.is_new for entry in entries] == [True, False]
    assert entries[0].session is not None
    assert _sequences(entries) == {fork.session_id: list(range(7, fork.head + 2))}


async def test_entries_that_have_expired_are_not_written_again(process: Process) -> None:
    old, new = await _sessions(process, 2)
    changes = await process.changes()
    for change in changes:
        if change["session_id"] == old.session_id:
            change["_ts"] -= EIGHT_DAYS

    await write_rooms(document_list(changes))

    assert set(_sequences(await process.entries())) == {new.session_id}


async def test_a_full_room_is_counted_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    with wire_server("--full", f":owner:{ROOM.owner}") as endpoint:
        async with _process(endpoint) as process:
            for owner in ("owner", "neighbour"):
                state = await create_session(process.log, owner=owner)
                for _ in range(3):
                    state = await append_events(process.log, state, PROGRESS)
            changes = await process.changes()

            for _ in range(2):  # it would be delivered again if it had failed
                await write_rooms(document_list(changes))

            writer: Any = process.app.room_writer
            assert list(await process.entries()) == []
            assert list(_sequences(await process.entries(Room(owner_hash("neighbour")))).values()) == [[1, 2, 3, 4]]
            assert list(writer.unwritable.values()) == [8]
    assert caplog.text.count("could not get") == 4  # at 1, 2, 4 and 8
    assert "20 GB" in caplog.text


class Days:
    """A room on a clock that a test moves: its writer and its readers."""

    def __init__(self, database: Database, now: float) -> None:
        self.now = now
        self.writer = CosmosRoomWriter(database, lambda: self.now)
        self.rooms = CosmosRooms(database, lambda: self.now)

    async def write(self, process: Process, changes: Sequence[Item]) -> None:
        await self.writer.write(chunks_in(changes), states_in(changes))

    async def read(self, after: int = FIRST_CURSOR) -> list[RoomEntry]:
        found: list[RoomEntry] = []
        while page := await self.rooms.read(ROOM, after, 2):
            found += page
            after = page[-1].cursor
        return found


@pytest.fixture
async def days(process: Process) -> Days:
    return Days(process.database, MIDNIGHT - 60)


async def append_progress(process: Process, state: SessionState, seen: list[Item]) -> tuple[SessionState, list[Item]]:
    """Append an event; returns the state after it, and the changes that are not in `seen`."""
    state = await append_events(process.log, state, PROGRESS)
    known = {item["id"] for item in seen if item["id"] != STATE_ID}
    return state, [item for item in await process.changes() if item["id"] not in known]


async def test_a_room_continues_from_one_days_partition_to_the_next(process: Process, days: Days) -> None:
    state, seen = await create_session(process.log), list[Item]()
    for wait in (0, 20, 70, SECONDS_PER_DAY, 3 * SECONDS_PER_DAY):  # the second and the third around midnight
        days.now += wait
        state, new = await append_progress(process, state, seen)
        seen += new
        await days.write(process, new)
    days.now += 60

    entries = await days.read()

    assert _sequences(entries) == {state.session_id: [1, 2, 3, 4, 5, 6]}
    cursors = [entry.cursor for entry in entries]
    assert cursors == sorted(set(cursors))
    assert [_sequences(await days.read(cursor)).get(state.session_id, []) for cursor in cursors] == [
        list(range(number, 7)) for number in range(2, 8)
    ]
    newest = await days.rooms.newest_cursor(ROOM)
    assert await days.read(newest) == []


async def test_a_write_that_is_late_at_midnight_is_not_missed(process: Process, days: Days) -> None:
    state, seen = await append_progress(process, await create_session(process.log), [])
    await days.write(process, seen)
    cursor = (await days.read())[-1].cursor
    days.now = MIDNIGHT + 10
    assert await days.read(cursor) == []

    state, late = await append_progress(process, state, seen)
    days.now = MIDNIGHT - 1  # the writer's clock is slow
    await days.write(process, late)
    days.now = MIDNIGHT + 12
    state, new = await append_progress(process, state, [*seen, *late])
    await days.write(process, new)
    days.now = MIDNIGHT + 60

    assert _sequences(await days.read(cursor)) == {state.session_id: [3, 4]}


async def test_a_deletion_blanks_the_entries_of_earlier_days(process: Process, days: Days) -> None:
    state, seen = await append_progress(process, await create_session(process.log), [])
    await days.write(process, seen)
    days.now += 2 * SECONDS_PER_DAY
    await append_events(process.log, state, SessionDeleted())
    await days.write(process, await process.changes())

    entries = await days.read()

    assert [(entry.is_deletion, len(entry.events)) for entry in entries] == [(True, 1)]


async def test_a_batch_delivered_again_after_midnight_gives_each_entry_once(process: Process, days: Days) -> None:
    state, changes = await append_progress(process, await create_session(process.log), [])
    await days.write(process, changes)
    days.now = MIDNIGHT + 40
    await days.write(process, changes)

    assert _sequences(await days.read()) == {state.session_id: [1, 2]}
