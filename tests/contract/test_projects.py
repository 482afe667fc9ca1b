"""Projects: each revision has one writer, and lists show the newest project first."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.contract.factories import THEN
from turnlog.domain.budget import Budget, Ledger, Reservation
from turnlog.domain.deletion import Deletion
from turnlog.domain.errors import ProjectExistsError, RevisionTakenError
from turnlog.domain.ids import SessionId, new_project_id, new_writer_id
from turnlog.domain.project import Project
from turnlog.ports import ProjectStore
from turnlog.stores import Stores

pytestmark = pytest.mark.anyio


@pytest.fixture
def projects(stores: Stores) -> ProjectStore:
    return stores.projects


@pytest.fixture
def others(other_stores: Stores) -> ProjectStore:
    """The same projects as another process has them."""
    return other_stores.projects


def _project(seconds: int = 0, **fields: Any) -> Project:
    at = THEN + timedelta(seconds=seconds)
    values: dict[str, Any] = {
        "id": new_project_id(at),
        "owner": "owner",
        "name": "A project",
        "document": {"nodes": {}},
        "changed_by": new_writer_id(),
        "created_at": at,
        "updated_at": at,
    }
    return Project(**(values | fields))


def _changed(project: Project, **fields: Any) -> Project:
    return project.model_copy(update={"revision": project.revision + 1, "changed_by": new_writer_id(), **fields})


async def test_a_project_is_read_as_it_was_created(projects: ProjectStore, others: ProjectStore) -> None:
    document = {"nodes": {"a": {"big": 2**60, "deep": [[[["é"]]]], "none": None}}}
    created = _project(document=document)

    await projects.create(created)

    assert await others.get(created.id) == created
    assert await projects.get(new_project_id(THEN)) is None


async def test_an_id_can_be_created_again_only_by_the_same_write(projects: ProjectStore) -> None:
    created = _project()
    await projects.create(created)

    await projects.create(created)
    with pytest.raises(ProjectExistsError):
        await projects.create(created.model_copy(update={"changed_by": new_writer_id(), "name": "Another"}))

    assert await projects.get(created.id) == created


async def test_a_revision_is_replaced_once_and_that_write_may_be_repeated(projects: ProjectStore) -> None:
    created = _project()
    await projects.create(created)
    second = _changed(created, name="Second")
    await projects.replace(second)

    await projects.replace(second)
    with pytest.raises(RevisionTakenError):
        await projects.replace(_changed(created, name="Late"))
    with pytest.raises(RevisionTakenError):
        await projects.replace(_changed(_changed(second)))
    with pytest.raises(RevisionTakenError):
        await projects.replace(_changed(_project()))

    assert await projects.get(created.id) == second


async def test_a_write_may_be_repeated_even_after_later_revisions(projects: ProjectStore, others: ProjectStore) -> None:
    created = _project()
    await projects.create(created)
    mine = created.next_revision(THEN, name="Mine")
    await projects.replace(mine)
    newest = mine
    for number in range(30):
        newest = newest.next_revision(THEN, name=f"Theirs {number}")
        await others.replace(newest)

    await projects.replace(mine)
    with pytest.raises(RevisionTakenError):
        await projects.replace(created.next_revision(THEN, name="Late"))

    assert await projects.get(created.id) == newest


async def test_one_of_many_concurrent_changes_of_a_revision_wins(projects: ProjectStore, others: ProjectStore) -> None:
    created = _project()
    await projects.create(created)
    changes = [_changed(created, name=f"{number}") for number in range(12)]

    answers = await asyncio.gather(
        *((projects if number % 2 else others).replace(change) for number, change in enumerate(changes)),
        return_exceptions=True,
    )

    (won,) = [change for change, answer in zip(changes, answers, strict=True) if answer is None]
    assert all(isinstance(answer, RevisionTakenError) for answer in answers if answer is not None)
    assert await projects.get(created.id) == won


async def test_an_owners_projects_are_listed_in_pages_newest_first(projects: ProjectStore) -> None:
    owner = new_writer_id()
    created = [_project(number, owner=owner) for number in range(5)]
    for project in [*created, _project(9, owner=new_writer_id())]:
        await projects.create(project)

    first = await projects.list(owner, before=None, limit=3)
    rest = await projects.list(owner, before=first[-1].listing_key, limit=3)

    assert [*first, *rest] == created[::-1]


async def _due(projects: ProjectStore, seconds: int) -> list[Project]:
    return [project async for project in projects.due_deletions(THEN + timedelta(seconds=seconds))]


async def _deleted_project(projects: ProjectStore, due: int | None, **fields: Any) -> Project:
    created = _project(**fields)
    await projects.create(created)
    due_at = None if due is None else THEN + timedelta(seconds=due)
    tombstone = _changed(created, deletion=Deletion(requested_at=THEN, due_at=due_at), document={})
    await projects.replace(tombstone)
    return tombstone


async def test_a_deleted_project_is_in_no_list_and_its_tombstone_stays(projects: ProjectStore) -> None:
    tombstone = await _deleted_project(projects, due=1, owner=new_writer_id())

    assert await projects.list(tombstone.owner, before=None, limit=10) == []
    assert await projects.get(tombstone.id) == tombstone


async def test_deletions_are_due_at_their_time_the_longest_due_first(
    projects: ProjectStore, others: ProjectStore
) -> None:
    late, early = [await _deleted_project(projects, due=seconds) for seconds in (30, 20)]
    await _deleted_project(projects, due=None)
    await projects.create(_project())

    assert [await _due(others, seconds) for seconds in (19, 20, 29, 30)] == [[], [early], [early], [early, late]]
    ended = _changed(early, deletion=Deletion(requested_at=THEN, due_at=None))
    await projects.replace(ended)
    assert await _due(projects, 60) == [late]


async def test_all_due_deletions_are_read_however_many_there_are(projects: ProjectStore) -> None:
    created = [await _deleted_project(projects, due=1 + number % 3) for number in range(120)]

    due = await _due(projects, 10)

    assert sorted(project.id for project in due) == sorted(project.id for project in created)
    assert [project.deletion_due for project in due] == sorted(project.deletion_due for project in created)


async def test_a_ledger_is_read_as_it_was_stored(projects: ProjectStore, others: ProjectStore) -> None:
    project_id, session_id = new_project_id(THEN), SessionId("owner~ses_a")
    reservation = Reservation(tokens=2**40, counted=3, expires_at=THEN)
    ledger = Ledger(project_id=project_id, version=1, used=7, counted_at=THEN, reservations={session_id: reservation})

    await projects.put_ledger(ledger)

    assert await others.ledger(project_id) == ledger
    assert await projects.ledger(new_project_id(THEN)) is None
    assert await projects.list("owner", before=None, limit=10) == []


async def test_of_writers_of_one_version_of_a_ledger_one_is_first(projects: ProjectStore, others: ProjectStore) -> None:
    first = Ledger(project_id=new_project_id(THEN), version=1, counted_at=THEN)

    async def put(store: ProjectStore, ledger: Ledger) -> bool:
        try:
            await store.put_ledger(ledger)
        except RevisionTakenError:
            return False
        return True

    created = await asyncio.gather(*(put(store, first) for store in (projects, others, projects)))
    stores = [projects, others] * 3
    written = [(store, first.model_copy(update={"version": 2, "used": used})) for used, store in enumerate(stores)]
    changed = await asyncio.gather(*(put(store, ledger) for store, ledger in written))

    assert (created.count(True), changed.count(True)) == (1, 1)
    assert await others.ledger(first.project_id) == written[changed.index(True)][1]
    assert not await put(projects, first.model_copy(update={"version": 4})), "a version was left out"


async def test_a_ledger_and_its_project_do_not_disturb_each_other(projects: ProjectStore) -> None:
    project = _project(budget=Budget(total_tokens=5))
    await projects.create(project)
    await projects.put_ledger(Ledger(project_id=project.id, version=1, used=4, counted_at=THEN))

    changed = _changed(project, budget=None)
    await projects.replace(changed)

    assert await projects.get(project.id) == changed
    assert [found.id for found in await projects.list("owner", before=None, limit=10)] == [project.id]
    ledger = await projects.ledger(project.id)
    assert ledger is not None
    assert ledger.used == 4
