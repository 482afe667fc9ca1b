"""Projects: each revision is written once, by one writer, and lists show the newest first."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.errors import ProjectExistsError, RevisionTakenError
from shared.domain.ids import new_project_id, new_writer_id
from shared.domain.project import Project
from shared.ports import ProjectStore
from shared.stores import Stores
from tests.contract.factories import THEN

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


async def test_what_was_created_is_read_as_it_was(projects: ProjectStore, others: ProjectStore) -> None:
    document = {"nodes": {"a": {"big": 2**60, "deep": [[[["é"]]]], "none": None}}}
    made = _project(document=document)

    await projects.create(made)

    assert await others.get(made.id) == made
    assert await projects.get(new_project_id(THEN)) is None


async def test_creating_again_is_refused_but_not_the_same_write(projects: ProjectStore) -> None:
    made = _project()
    await projects.create(made)

    await projects.create(made)
    with pytest.raises(ProjectExistsError):
        await projects.create(made.model_copy(update={"changed_by": new_writer_id(), "name": "Another"}))

    assert await projects.get(made.id) == made


async def test_a_revision_is_replaced_once_and_repeating_that_write_does_no_harm(projects: ProjectStore) -> None:
    made = _project()
    await projects.create(made)
    second = _changed(made, name="Second")
    await projects.replace(second)

    await projects.replace(second)
    with pytest.raises(RevisionTakenError):
        await projects.replace(_changed(made, name="Late"))
    with pytest.raises(RevisionTakenError):
        await projects.replace(_changed(_changed(second)))
    with pytest.raises(RevisionTakenError):
        await projects.replace(_changed(_project()))

    assert await projects.get(made.id) == second


async def test_a_change_is_known_for_its_writers_own_when_others_have_followed(
    projects: ProjectStore, others: ProjectStore
) -> None:
    made = _project()
    await projects.create(made)
    mine = made.next_revision(THEN, name="Mine")
    await projects.replace(mine)
    newest = mine
    for number in range(30):
        newest = newest.next_revision(THEN, name=f"Theirs {number}")
        await others.replace(newest)

    await projects.replace(mine)
    with pytest.raises(RevisionTakenError):
        await projects.replace(made.next_revision(THEN, name="Late"))

    assert await projects.get(made.id) == newest


async def test_of_many_that_change_one_revision_one_does(projects: ProjectStore, others: ProjectStore) -> None:
    made = _project()
    await projects.create(made)
    changes = [_changed(made, name=f"{number}") for number in range(12)]

    answers = await asyncio.gather(
        *((projects if number % 2 else others).replace(change) for number, change in enumerate(changes)),
        return_exceptions=True,
    )

    (won,) = [change for change, answer in zip(changes, answers, strict=True) if answer is None]
    assert all(isinstance(answer, RevisionTakenError) for answer in answers if answer is not None)
    assert await projects.get(made.id) == won


async def test_lists_show_an_owners_projects_newest_first_page_by_page(projects: ProjectStore) -> None:
    owner = new_writer_id()
    made = [_project(number, owner=owner) for number in range(5)]
    for project in [*made, _project(9, owner=new_writer_id())]:
        await projects.create(project)

    first = await projects.list(owner, before=None, limit=3)
    rest = await projects.list(owner, before=first[-1].listing_key, limit=3)

    assert [*first, *rest] == made[::-1]


async def test_a_deleted_project_is_a_mark_that_is_listed_only_until_it_is_emptied(projects: ProjectStore) -> None:
    made = _project(owner=new_writer_id())
    await projects.create(made)
    mark = _changed(made, deleted=True, document={})

    await projects.replace(mark)

    assert await projects.list(made.owner, before=None, limit=10) == []
    assert await projects.get(made.id) == mark
    assert mark in await projects.deleted_with_sessions(1000)
    emptied = _changed(mark, emptied=True)
    await projects.replace(emptied)
    assert emptied not in await projects.deleted_with_sessions(1000)
    assert mark not in await projects.deleted_with_sessions(1000)
