"""Deleting a project: its sessions are deleted page by page, whatever is interrupted, by one instance or several."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from tests.contract.factories import THEN, create_session
from turnlog.domain.deletion import Deletion
from turnlog.domain.errors import DeletionNotFoundError, ProjectNotFoundError, StoreUnavailableError
from turnlog.domain.ids import ProjectId, SessionId, owner_hash
from turnlog.domain.listing import SessionFilter
from turnlog.domain.project import Project
from turnlog.domain.session import SessionState
from turnlog.services.projects.deletions import Deletions, PageOutcome
from turnlog.services.projects.options import ProjectOptions
from turnlog.services.projects.projects import Projects
from turnlog.services.sessions import Sessions
from turnlog.stores import Stores
from turnlog.timings import CLOUD, ONE_MACHINE, Timings
from turnlog.wiring import SystemClock

pytestmark = pytest.mark.anyio

OWNER, TRACE = "owner", "trace"
PAUSE, GRACE = CLOUD.lost_after, CLOUD.clear_after


class Clock(SystemClock):
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.moment = THEN + timedelta(hours=1)

    def now(self) -> datetime:
        return self.moment


@dataclass
class Starts:
    """A scheduler that only notes which generations it was to start."""

    generations: list[int] = field(default_factory=list[int])

    async def start(self, project_id: ProjectId, deletion: Deletion) -> None:
        self.generations.append(deletion.generation)


class BreakingSessions(Sessions):
    """Sessions whose deletion raises: by the id of the session, after it is done if `done`."""

    errors: dict[SessionId, Exception]
    done: bool = False
    tries: int = 0

    async def delete_listed(self, session_id: SessionId, trace_id: str | None) -> None:
        self.tries += 1
        error = self.errors.get(session_id)
        if error is None or self.done:
            await super().delete_listed(session_id, trace_id)
        if error is not None:
            raise error


class Process:
    """The service as one process has it."""

    def __init__(self, stores: Stores, clock: Clock, page_size: int = 3, timings: Timings = CLOUD) -> None:
        self.stores, self.clock, self.starts = stores, clock, Starts()
        self.sessions = BreakingSessions(stores.log, clock)
        self.sessions.errors = {}
        self.projects = Projects(stores.projects, clock, ProjectOptions(stores.projects, clock))
        self.deletions = Deletions(
            self.projects, stores.projects, stores.log, self.sessions, clock, timings, page_size=page_size
        )

    async def new_project(self, sessions: int) -> tuple[ProjectId, Sequence[SessionState]]:
        """A project with sessions, the newest first."""
        project, _ = await self.projects.create(OWNER, "Project")
        created = [await self.new_session(project.id, number) for number in range(sessions)]
        return project.id, created[::-1]

    async def new_session(self, project_id: ProjectId, number: int = 0) -> SessionState:
        return await create_session(self.stores.log, at=THEN + timedelta(seconds=number), project_id=project_id)

    async def request(self, project_id: ProjectId) -> Deletion:
        return await self.deletions.request(OWNER, project_id, TRACE, self.starts)

    async def delete_page(self, project_id: ProjectId, generation: int = 1, *, is_last: bool = False) -> PageOutcome:
        return await self.deletions.delete_page(project_id, generation, self.starts, is_last=is_last)

    async def finish(self, project_id: ProjectId, generation: int = 1) -> Deletion:
        """Delete what is left, as the instance of this generation; returns the deletion."""
        while (outcome := await self.delete_page(project_id, generation)) == "more":
            pass
        assert outcome == "done"
        return await self.progress(project_id)

    async def sweep(self, after: timedelta = timedelta(0)) -> Sequence[int]:
        """Sweep when this time has passed; returns the generations that were started."""
        self.clock.moment += after
        before = len(self.starts.generations)
        await self.deletions.sweep(self.starts)
        return self.starts.generations[before:]

    async def progress(self, project_id: ProjectId) -> Deletion:
        return await self.deletions.progress(OWNER, project_id)

    async def count_sessions(self, project_id: ProjectId) -> int:
        wanted = SessionFilter(owner=owner_hash(OWNER), project_id=project_id)
        return len(await self.stores.log.sessions(wanted, before=None, limit=1000))

    async def tombstone(self, project_id: ProjectId) -> Project:
        project = await self.stores.projects.get(project_id)
        assert project is not None
        return project


@pytest.fixture
def process(stores: Stores) -> Process:
    return Process(stores, Clock())


@pytest.fixture
def another(other_stores: Stores, process: Process) -> Process:
    return Process(other_stores, process.clock)


async def test_the_request_deletes_a_small_project_with_its_sessions(process: Process) -> None:
    project_id, _ = await process.new_project(3)
    other_id, _ = await process.new_project(1)

    deletion = await process.request(project_id)

    assert (deletion.deleted, deletion.listed, deletion.ended_at) == (3, 3, process.clock.moment)
    assert process.starts.generations == []
    assert [await process.count_sessions(each) for each in (project_id, other_id)] == [0, 1]
    assert await process.progress(project_id) == deletion


async def test_a_large_project_is_marked_at_once_and_deleted_page_by_page(process: Process) -> None:
    project_id, _ = await process.new_project(8)

    requested = await process.request(project_id)

    assert (requested.deleted, requested.listed, requested.ended_at) == (3, 6, None)
    assert process.starts.generations == [1]
    with pytest.raises(ProjectNotFoundError):
        await process.projects.get(OWNER, project_id)
    assert await process.delete_page(project_id) == "more"
    assert (await process.progress(project_id)).listed == 8
    ended = await process.finish(project_id)
    assert (ended.deleted, ended.listed, await process.count_sessions(project_id)) == (8, 8, 0)


async def test_a_second_request_joins_the_first_until_the_deletion_has_ended(
    process: Process, another: Process
) -> None:
    project_id, _ = await process.new_project(8)
    first = await process.request(project_id)

    second = await another.request(project_id)

    assert (second, another.starts.generations) == (first, [1])
    await process.finish(project_id)
    with pytest.raises(ProjectNotFoundError):
        await another.request(project_id)


async def test_requests_at_the_same_time_delete_one_project_once(process: Process, another: Process) -> None:
    project_id, _ = await process.new_project(8)

    answers = await asyncio.gather(*(each.request(project_id) for each in (process, another, process, another)))

    assert {deletion.requested_at for deletion in answers} == {process.clock.moment}
    assert set(process.starts.generations + another.starts.generations) == {1}
    assert (await process.finish(project_id)).deleted == 8


async def test_only_the_owner_of_a_deleted_project_sees_its_deletion(process: Process) -> None:
    project_id, _ = await process.new_project(0)
    with pytest.raises(DeletionNotFoundError):
        await process.progress(project_id)
    await process.request(project_id)

    for owner, wanted in (("another", project_id), (OWNER, ProjectId("prj_0")), (OWNER, ProjectId("no/id"))):
        with pytest.raises(DeletionNotFoundError):
            await process.deletions.progress(owner, wanted)
    with pytest.raises(ProjectNotFoundError):
        await process.deletions.request("another", project_id, TRACE, process.starts)


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("broken", range(8))
async def test_a_deletion_that_is_interrupted_at_any_session_continues_and_counts_each_once(
    process: Process, another: Process, broken: int, done: bool
) -> None:
    project_id, sessions = await process.new_project(8)
    process.sessions.errors = {sessions[broken].session_id: StoreUnavailableError("interrupted")}
    process.sessions.done = done

    requested = await process.request(project_id)
    if broken >= 3:  # not in the page that the request deletes
        with pytest.raises(StoreUnavailableError):
            await process.finish(project_id)

    assert requested.ended_at is None
    assert await process.sweep() == []
    assert await another.sweep(PAUSE) == [2]
    assert await process.delete_page(project_id) == "superseded"
    ended = await another.finish(project_id, generation=2)
    assert (ended.deleted, ended.listed, await process.count_sessions(project_id)) == (8, 8, 0)


async def test_two_instances_at_once_count_each_session_once(process: Process, another: Process) -> None:
    project_id, _ = await process.new_project(12)
    await process.request(project_id)

    ended, _ = await asyncio.gather(process.finish(project_id), another.finish(project_id))

    assert (ended.deleted, ended.listed) == (12, 12)


async def test_the_last_page_of_an_instance_starts_the_next_instance(process: Process) -> None:
    project_id, _ = await process.new_project(12)
    await process.request(project_id)

    assert await process.delete_page(project_id, is_last=True) == "more"

    assert process.starts.generations == [1, 2]
    assert await process.delete_page(project_id) == "superseded"
    assert (await process.finish(project_id, generation=2)).deleted == 12
    assert await process.delete_page(project_id, generation=2, is_last=True) == "done"
    assert process.starts.generations == [1, 2]


async def test_a_session_that_cannot_be_deleted_keeps_no_other_and_is_tried_again_later(process: Process) -> None:
    project_id, sessions = await process.new_project(8)
    broken = sessions[1].session_id
    process.sessions.errors = {broken: RuntimeError("a fault of the program")}
    await process.request(project_id)

    while (outcome := await process.delete_page(project_id)) == "more":
        pass

    deletion = await process.progress(project_id)
    assert (outcome, deletion.deleted, deletion.ended_at) == ("failed", 7, None)
    assert await process.sweep() == []
    pauses = list[float]()
    for _ in range(3):
        due_at = (await process.progress(project_id)).due_at
        assert due_at is not None
        pauses.append((due_at - process.clock.moment).total_seconds())
        (generation,) = await process.sweep(due_at - process.clock.moment)
        while (outcome := await process.delete_page(project_id, generation)) == "more":
            pass
        assert outcome == "failed"
    assert pauses == sorted(set(pauses))
    process.sessions.errors = {}
    (generation,) = await process.sweep(timedelta(days=1))
    assert (await process.finish(project_id, generation)).deleted == 8
    assert await process.count_sessions(project_id) == 0


@pytest.mark.parametrize("timings", [CLOUD, ONE_MACHINE], ids=["cloud", "one machine"])
async def test_a_session_that_a_late_request_opens_is_deleted_by_the_sweep(stores: Stores, timings: Timings) -> None:
    process = Process(stores, Clock(), timings=timings)
    project_id, _ = await process.new_project(1)
    await process.request(project_id)
    await process.new_session(project_id)

    (generation,) = await process.sweep(timings.lost_after)

    assert (await process.finish(project_id, generation)).deleted == 2
    assert await process.count_sessions(project_id) == 0


async def test_the_sweep_looks_for_late_sessions_seldom_and_until_no_request_can_open_one(process: Process) -> None:
    project_id, _ = await process.new_project(1)
    requested = await process.request(project_id)
    looks = 0
    while (due_at := (await process.progress(project_id)).due_at) is not None:
        assert await process.sweep(due_at - process.clock.moment) == []
        looks += 1

    assert process.clock.moment == requested.requested_at + GRACE
    assert looks < 10
    assert (await process.tombstone(project_id)).deletion_due == 0


async def test_a_start_that_is_lost_again_and_again_is_repeated_after_longer_pauses(process: Process) -> None:
    project_id, _ = await process.new_project(8)
    await process.request(project_id)

    started = [await process.sweep(PAUSE) for _ in range(8)]

    assert started == [[2], [3], [], [4], [], [], [], [5]]


async def test_a_project_without_the_store_is_deleted_later_although_the_request_is_accepted(process: Process) -> None:
    project_id, sessions = await process.new_project(2)
    process.sessions.errors = {state.session_id: StoreUnavailableError("no store") for state in sessions}

    deletion = await process.request(project_id)

    assert (deletion.ended_at, process.starts.generations) == (None, [1])
    process.sessions.errors = {}
    assert (await process.finish(project_id)).deleted == 2


async def test_without_the_store_the_rest_of_a_page_is_not_tried(stores: Stores) -> None:
    process = Process(stores, Clock(), page_size=20)
    project_id, sessions = await process.new_project(20)
    process.sessions.errors = {state.session_id: StoreUnavailableError("no store") for state in sessions}

    await process.request(project_id)

    assert process.sessions.tries < 10
    process.sessions.errors = {}
    assert (await process.finish(project_id)).deleted == 20
