"""Cosmos DB at its worst: 30 % of calls are throttled, refused, timed out or cut off, also after they took effect.

Reads at Eventual may miss for a second what was written. The server injects the faults, so the whole client is tested:
the SDK with its own retries, and the retries of this project.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

import pytest

from tests.contract.factories import THEN, chunk, create_session, delta, read_all, sequences, texts
from tests.contract.stores import Database, cosmos_database, wire_server
from turnlog.domain.errors import SequenceTakenError, StoreUnavailableError
from turnlog.domain.events import (
    SessionUpdated,
)
from turnlog.domain.fold import fold
from turnlog.domain.ids import SessionId, new_project_id, new_writer_id, owner_hash
from turnlog.domain.project import Project
from turnlog.domain.rooms import FIRST_CURSOR, Room
from turnlog.ports import SessionLog
from turnlog.services.log.stream import follow_events
from turnlog.services.projects.rooms import Rooms
from turnlog.stores import cosmos

T = TypeVar("T")

pytestmark = pytest.mark.anyio

WRITERS, WORDS = 4, 8
LAST = 1 + 2 * WRITERS * WORDS


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["1", *(pytest.param(seed, marks=pytest.mark.slow) for seed in ("2", "3"))])
async def store(request: pytest.FixtureRequest) -> AsyncGenerator[Database]:
    with wire_server("--faults", "0.3", "--stale", "1000", "--seed", request.param) as endpoint:
        async with cosmos_database(endpoint) as store:
            yield store


@pytest.fixture
async def processes(store: Database) -> AsyncGenerator[list[SessionLog]]:
    logs = [store.open().log for _ in range(2)]
    yield logs
    for log in logs:
        await log.close()


async def test_racing_writers_leave_no_gap_and_no_duplicate(processes: list[SessionLog]) -> None:
    state = await create_session(processes[0])

    await asyncio.gather(*(_write(processes[n % 2], state.session_id, n) for n in range(WRITERS)))

    chunks = await read_all(processes[0], state.session_id)
    assert sequences(chunks) == list(range(1, LAST + 1))
    for writer in range(WRITERS):
        own = [text for text in texts(chunks) if text.startswith(f"{writer}.")]
        assert own == [f"{writer}.{word}" for word in range(WORDS)]
    assert await processes[1].state(state.session_id) == fold(None, chunks)


async def test_followers_get_every_event_once(processes: list[SessionLog]) -> None:
    state = await create_session(processes[0])

    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(_read(log, state.session_id)) for log in processes for _ in range(3)]
        for writer in range(WRITERS):
            group.create_task(_write(processes[0], state.session_id, writer))

    assert all(task.result() == list(range(1, LAST + 1)) for task in reading)


async def test_rooms_get_every_event_once_and_in_order(store: Database, processes: list[SessionLog]) -> None:
    sessions = [(await create_session(processes[0])).session_id for _ in range(WRITERS)]
    stores = store.open()
    async with store.rooms(stores) as feed, asyncio.TaskGroup() as group:
        watching = [group.create_task(_watch(Rooms(feed, processes[0]))) for _ in range(3)]
        for session in sessions:
            group.create_task(_write(processes[0], session, 0))

    expected = [1, *range(2, 2 * WORDS + 1, 2)]  # the deltas themselves are not in rooms
    assert [task.result() for task in watching] == [dict.fromkeys(sessions, expected)] * 3


async def test_a_project_is_created_once_and_changed_once_by_each_change(store: Database) -> None:
    log, projects, *_ = store.open()
    created = Project(
        id=new_project_id(THEN), owner="owner", name="0", document={}, changed_by=new_writer_id(), created_at=THEN,
        updated_at=THEN,
    )  # fmt: skip
    await projects.create(created)
    project = created

    for _ in range(20):
        following = {"revision": project.revision + 1, "changed_by": new_writer_id(), "name": f"{project.revision}"}
        project = project.model_copy(update=following)
        await projects.replace(project)

    assert await projects.get(created.id) == project
    assert await projects.list("owner", before=None, limit=5) == [project]
    await log.close()


async def test_a_database_that_was_not_provisioned_is_named_as_the_fault() -> None:
    with wire_server() as endpoint:
        log = cosmos.open_stores(endpoint, "nowhere").log

        with pytest.raises(StoreUnavailableError, match="provision the database"):
            await log.check()

        await log.close()


async def test_an_account_that_does_not_answer_is_unavailable(free_tcp_port: int) -> None:
    log = cosmos.open_stores(f"https://127.0.0.1:{free_tcp_port}", "nowhere").log

    with pytest.raises(StoreUnavailableError, match="try again"):
        await log.check()

    await log.close()


async def _write(log: SessionLog, session: SessionId, writer: int) -> None:
    """Append words one after another, each with a change of the state; decide again if another writer was first."""
    for word in range(WORDS):
        text = f"{writer}.{word}"
        while not await _is_appended(log, session, text):
            pass


async def _is_appended(log: SessionLog, session: SessionId, text: str) -> bool:
    state = await _insist(lambda: log.state(session))
    assert state is not None
    decided = chunk(session, state.head, SessionUpdated(changes={"session_name": text}), delta(text))
    try:
        await _insist(lambda: log.append(decided, fold(state, [decided])))
    except SequenceTakenError:
        return False
    return True


async def _insist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call while the store is unavailable, as a caller may."""
    while True:
        with suppress(StoreUnavailableError):
            return await call()


async def _watch(rooms: Rooms) -> dict[SessionId, list[int]]:
    """The sequences in the room for each session, until every session is complete."""
    seen: dict[SessionId, list[int]] = {}
    after = FIRST_CURSOR
    while len(seen) < WRITERS or min(places[-1] for places in seen.values()) < 2 * WORDS:
        following = rooms.follow(Room(owner_hash("owner")), after, timedelta(seconds=2))
        with suppress(StoreUnavailableError):
            async for entries in following:
                for entry in entries:
                    seen.setdefault(entry.session_id, []).extend(event.sequence for event in entry.events)
                    after = entry.cursor
                if not entries:
                    break
        await following.aclose()
    return seen


async def _read(log: SessionLog, session: SessionId) -> list[int]:
    seen: list[int] = []
    while not seen or seen[-1] < LAST:
        following = follow_events(log, session, seen[-1] if seen else 0, timedelta(seconds=2))
        with suppress(StoreUnavailableError):
            async for events in following:
                seen += [event.sequence for event in events]
                if seen and seen[-1] >= LAST:
                    break
        await following.aclose()
    return seen
