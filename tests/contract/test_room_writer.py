"""What the change feed gives is told to rooms once and in order, however often and by however many it is given."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from changes.feed import chunks_in, states_in
from changes.rooms import write_rooms
from local.host.feeds import ChangeFeed
from shared.domain.errors import StoreUnavailableError
from shared.domain.events import Outside, RunComplete, SessionDeleted, Status, UserMessage
from shared.domain.ids import SessionId
from shared.domain.rooms import FIRST_CURSOR, Room, RoomEntry
from shared.domain.session import SessionState
from shared.ports import SessionLog
from shared.services.fork import ForkRequest, Forks
from shared.stores.cosmos.database import Database
from shared.stores.cosmos.items import STATE_ID, chunk_item
from shared.stores.cosmos.rooms import CosmosRooms
from shared.wiring import Services, SystemClock
from tests.contract.building import RUN, begin, chunk, delta, go_on, session_id
from tests.contract.feeding import given, process
from tests.contract.stores import CosmosStore, cosmos_store, wire_server

pytestmark = pytest.mark.anyio

ROOM = Room("owner")
EIGHT_DAYS = 8 * 24 * 60 * 60
PROGRESS = Outside(event_type="progress")
END = RunComplete(status="completed", steps=1, usage={}, duration_ms=1, model="fake")

Item = dict[str, Any]


class Hand:
    """A process on a Cosmos DB database, and the changes of its sessions in hand."""

    def __init__(self, on: Services, database: Database) -> None:
        self.on = on
        self.log: SessionLog = on.log
        self._database = database

    async def changes(self) -> list[Item]:
        """All that there is to tell by now, in the feed's order."""
        feed, found = ChangeFeed(await self._database.sessions(), 1000), list[Item]()
        while batch := await feed.batch():
            found += batch
        return found

    async def spoil(self, session: SessionId) -> None:
        """Leave something in the place of a session's state that is none."""
        container = await self._database.sessions()
        await container.upsert_item({"id": STATE_ID, "session_id": session, "body": "{}"})

    async def told(self, room: Room = ROOM) -> Sequence[RoomEntry]:
        return await CosmosRooms(self._database).read(room, FIRST_CURSOR, 1000)

    async def paged(self, after: str, limit: int) -> list[str]:
        """The cursors of all entries behind `after`, read `limit` at a time."""
        rooms, cursors = CosmosRooms(self._database), [after]
        while entries := await rooms.read(ROOM, cursors[-1], limit):
            cursors += [entry.cursor for entry in entries]
        return cursors[1:]


@asynccontextmanager
async def _hand(endpoint: str) -> AsyncGenerator[Hand]:
    async with cosmos_store(endpoint) as store:
        assert isinstance(store, CosmosStore)
        database = Database(store.endpoint, store.database)
        async with process(store.endpoint, store.database) as on:
            yield Hand(on, database)
        await database.close()


@pytest.fixture
async def hand(endpoint: str) -> AsyncGenerator[Hand]:
    async with _hand(endpoint) as hand:
        yield hand


async def _sessions(hand: Hand, many: int = 3) -> list[SessionState]:
    """Sessions that each had a turn, one after another."""
    states = [await begin(hand.log) for _ in range(many)]
    for data in ((UserMessage(content="Hello"), RUN), (delta(),), (PROGRESS, delta()), (END,)):
        states = [await go_on(hand.log, state, *data) for state in states]
    return states


def _places(entries: Sequence[RoomEntry]) -> dict[SessionId, list[int]]:
    """The sequences that are told of each session."""
    found: dict[SessionId, list[int]] = {}
    for entry in entries:
        found.setdefault(entry.session_id, []).extend(event.sequence for event in entry.events)
    return found


async def test_batches_that_come_again_and_in_disorder_within_are_told_once_and_in_order(hand: Hand) -> None:
    states = await _sessions(hand)
    changes, chance = await hand.changes(), random.Random(1)
    for cut in range(0, len(changes), 12):
        for batch in (changes[cut : cut + 12], changes[max(0, cut - 5) : cut + 12]):
            await write_rooms(given(chance.sample(batch, len(batch))))

    assert _places(await hand.told()) == {state.session_id: [1, 2, 3, 5, 7] for state in states}


async def test_batches_that_come_in_reverse_are_told_once(hand: Hand) -> None:
    states = await _sessions(hand)
    for change in reversed(await hand.changes()):
        await write_rooms(given([change]))

    told = {session_id: sorted(places) for session_id, places in _places(await hand.told()).items()}
    assert told == {state.session_id: [1, 2, 3, 5, 7] for state in states}


async def test_an_entry_tells_of_its_session_as_it_is_after_the_chunk_or_later(hand: Hand) -> None:
    before = await begin(hand.log)
    after = await go_on(hand.log, before, UserMessage(content="Hello"), RUN)
    changes = await hand.changes()
    assert hand.on.room_writer is not None

    await hand.on.room_writer.write(chunks_in(changes), {before.session_id: before})

    assert [entry.session for entry in await hand.told()] == [after, after]


async def test_what_two_instances_are_given_at_once_is_told_once_and_in_order(hand: Hand) -> None:
    states = await _sessions(hand, 6)
    changes = await hand.changes()

    await asyncio.gather(*(write_rooms(given(changes)) for _ in range(3)))

    assert _places(await hand.told()) == {state.session_id: [1, 2, 3, 5, 7] for state in states}


@pytest.mark.parametrize(
    "poison", [{"events": "[{}]"}, {"events": None}, {"writer": None, "epoch": None, "events": "no"}, {"kind": None}]
)
async def test_a_document_that_cannot_be_read_holds_up_nothing(hand: Hand, poison: Item) -> None:
    states = await _sessions(hand)
    changes = await hand.changes()
    broken = next(change for change in changes if change["kind"] == "chunk" and change["first"] == 5)
    lost = broken["session_id"]
    broken.update(poison)

    await write_rooms(given(changes))

    assert _places(await hand.told()) == {
        state.session_id: [1, 2, 3, 7] if state.session_id == lost else [1, 2, 3, 5, 7] for state in states
    }


async def test_a_state_that_cannot_be_read_is_looked_up(hand: Hand) -> None:
    states = await _sessions(hand)
    changes = await hand.changes()
    for change in changes:
        if change["kind"] == "state":
            change["body"] = "{}"

    await write_rooms(given(changes))

    assert _places(await hand.told()) == {state.session_id: [1, 2, 3, 5, 7] for state in states}


async def test_a_stored_state_that_cannot_be_read_holds_up_no_other_session(hand: Hand) -> None:
    broken, whole = await _sessions(hand, 2)
    changes = [change for change in await hand.changes() if change["kind"] == "chunk"]
    await hand.spoil(broken.session_id)

    await write_rooms(given(changes))

    assert _places(await hand.told()) == {whole.session_id: [1, 2, 3, 5, 7]}


async def test_what_cosmos_db_will_never_take_holds_up_nothing(hand: Hand, caplog: pytest.LogCaptureFixture) -> None:
    state = await begin(hand.log)
    huge = chunk(state.session_id, state.head, Outside(event_type="progress", fields={"text": "x" * 2_100_000}))

    await write_rooms(given([*await hand.changes(), {**chunk_item(huge), "_ts": SystemClock().now().timestamp()}]))

    assert _places(await hand.told()) == {state.session_id: [1]}
    assert f"is not told of {state.session_id}:1:{state.head + 1:012}" in caplog.text


async def test_a_store_that_throttles_makes_it_fail_until_all_is_told() -> None:
    with wire_server("--throttle", "60") as endpoint:
        async with _hand(endpoint) as hand:
            states = await _sessions(hand)
            failures = 0
            while failures < 20:
                try:
                    await write_rooms(given(await hand.changes()))
                    break
                except StoreUnavailableError:
                    failures += 1

            assert failures
            assert _places(await hand.told()) == {state.session_id: [1, 2, 3, 5, 7] for state in states}


@pytest.mark.parametrize("project_id", [None, "project"])
async def test_a_deletion_is_told_also_when_the_log_is_cleared_before_it_was_read(
    hand: Hand, project_id: str | None
) -> None:
    state = await begin(hand.log, project_id=project_id)
    state = await go_on(hand.log, state, UserMessage(content="Hello"), RUN)
    await write_rooms(given(await hand.changes()))
    await go_on(hand.log, state, Status(status="cancelling"), SessionDeleted())
    await hand.log.clear(state.session_id)

    for _ in range(2):
        await write_rooms(given(await hand.changes()))

    for room in (ROOM, *([Room("owner", project_id)] if project_id else [])):
        (entry,) = await hand.told(room)
        assert (entry.session_id, entry.deletes, entry.events, entry.session) == (state.session_id, True, (), None)


async def test_who_is_late_cannot_tell_of_a_session_that_is_deleted_meanwhile(hand: Hand) -> None:
    state = await begin(hand.log)
    for _ in range(3):
        state = await go_on(hand.log, state, PROGRESS)
    late = await hand.changes()
    await go_on(hand.log, state, SessionDeleted())
    assert hand.on.room_writer is not None
    await write_rooms(given([change for change in late if change["kind"] == "chunk"][:2]))
    await write_rooms(given([*late, *await hand.changes()]))

    await hand.on.room_writer.write(chunks_in(late), states_in(late))

    assert [(entry.deletes, [event.type for event in entry.events]) for entry in await hand.told()] == [
        (True, ["session.deleted"])
    ]


async def test_a_long_session_is_taken_back_whole_and_none_whose_id_begins_alike(hand: Hand) -> None:
    name = session_id()
    state = await begin(hand.log, name)
    alike = await begin(hand.log, SessionId(f"{name}:1:5"))
    for _ in range(120):
        state = await go_on(hand.log, state, PROGRESS)
    await write_rooms(given(await hand.changes()))
    assert len(_places(await hand.told())[name]) == 121

    await go_on(hand.log, state, SessionDeleted())
    await write_rooms(given(await hand.changes()))

    assert _places(await hand.told()) == {alike.session_id: [1], name: [122]}


async def test_entries_that_were_blanked_in_one_batch_do_not_hide_those_of_other_sessions(hand: Hand) -> None:
    kept, deleted = await begin(hand.log), await begin(hand.log)
    for _ in range(5):
        kept, deleted = await go_on(hand.log, kept, PROGRESS), await go_on(hand.log, deleted, PROGRESS)
    await write_rooms(given(await hand.changes()))
    cursors = [FIRST_CURSOR, *(entry.cursor for entry in await hand.told())]
    await go_on(hand.log, deleted, SessionDeleted())
    await go_on(hand.log, kept, PROGRESS)
    await write_rooms(given(await hand.changes()))

    whole = await hand.told()

    assert _places(whole) == {kept.session_id: [1, 2, 3, 4, 5, 6, 7], deleted.session_id: [7]}
    for cursor in cursors:
        following = [entry.cursor for entry in whole if int(entry.cursor) > int(cursor)]
        for limit in (1, 2, 100):
            assert await hand.paged(cursor, limit) == following


async def test_of_a_fork_is_told_from_its_last_copied_chunk_on_whenever_it_is_looked_at(hand: Hand) -> None:
    (source,) = await _sessions(hand, 1)
    fork, _ = await Forks(hand.log, SystemClock()).fork("owner", source.session_id, ForkRequest(trace_id="0"))
    assert fork.forked_from is not None
    await go_on(hand.log, fork, PROGRESS)
    changes = [change for change in await hand.changes() if change["session_id"] == fork.session_id]

    # As it is before the state is there, then with all of it.
    await write_rooms(given([{**change, "session_id": "unwritten"} for change in changes if change["kind"] == "chunk"]))
    await write_rooms(given(changes))

    entries = await hand.told()
    assert [entry.is_new for entry in entries] == [True, False]
    assert entries[0].session is not None
    assert _places(entries) == {fork.session_id: list(range(7, fork.head + 2))}


async def test_what_rooms_have_forgotten_is_not_told_again(hand: Hand) -> None:
    old, new = await _sessions(hand, 2)
    changes = await hand.changes()
    for change in changes:
        if change["session_id"] == old.session_id:
            change["_ts"] -= EIGHT_DAYS

    await write_rooms(given(changes))

    assert set(_places(await hand.told())) == {new.session_id}
