"""An interrupted deletion of a project is finished, and the newest generation of a session is found."""

from datetime import timedelta

import pytest

from orchestrations.timers import sweep
from shared.domain.errors import ProjectNotFoundError
from shared.domain.ids import ProjectId, owner_hash
from shared.domain.listing import SessionFilter
from shared.domain.project import Project
from shared.services.projects.projects import Projects
from shared.services.projects.sessions import generation_id
from shared.wiring import Services
from tests.behaviour.factories import DurableClient
from tests.domain.factories import OWNER, TRACE

WRITTEN = "what somebody wrote"

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("model")]


async def _sweep() -> None:
    await sweep(DurableClient())  # pyright: ignore[reportArgumentType]


async def _marked(app: Services, project: Project) -> None:
    """Delete the project as a process that dies before it deletes the sessions."""
    await app.project_store.replace(project.tombstone(app.clock.now()))


async def _count_sessions(app: Services, project_id: ProjectId) -> int:
    return len(await app.log.sessions(SessionFilter(project_id=project_id), before=None, limit=1000))


async def test_a_deleted_project_keeps_nothing_that_was_written(app: Services) -> None:
    document = {"nodes": {"n": {"name": WRITTEN, "instructions": WRITTEN}}}
    project, _ = await app.projects.create(OWNER, WRITTEN, document)
    session = (await app.project_sessions.start(OWNER, project.id, "n", {"session_name": WRITTEN}, TRACE)).state
    assert WRITTEN in str(await app.project_store.get(project.id))

    await app.projects.delete(OWNER, project.id, TRACE)

    tombstone, left = await app.project_store.get(project.id), await app.log.state(session.session_id)
    assert tombstone is not None
    assert left is not None
    assert (tombstone.id, tombstone.deleted, left.deleted) == (project.id, True, True)
    assert WRITTEN not in tombstone.model_dump_json() + left.model_dump_json()
    assert tombstone.owner == tombstone.owner_hash == left.owner == owner_hash(OWNER)


async def test_the_sweep_deletes_the_sessions_that_remain_after_a_crash(app: Services) -> None:
    project, _ = await app.projects.create(OWNER, "Left")
    other, _ = await app.projects.create(OWNER, "Kept")
    for number in range(150):
        await app.project_sessions.start(OWNER, project.id, f"n{number}", {}, TRACE)
    await app.project_sessions.start(OWNER, other.id, None, {}, TRACE)
    await _marked(app, project)
    assert [tombstone.id for tombstone in await app.project_store.deleted_with_sessions(10)] == [project.id]

    await _sweep()

    assert (await _count_sessions(app, project.id), await _count_sessions(app, other.id)) == (0, 1)
    assert await app.project_store.deleted_with_sessions(10) == []


async def test_a_deleted_project_is_swept_as_long_as_a_session_may_be_opened_in_it(app: Services) -> None:
    project, _ = await app.projects.create(OWNER, "Late")
    await app.projects.delete(OWNER, project.id, TRACE)
    (tombstone,) = await app.project_store.deleted_with_sessions(10)
    await app.projects.sweep(tombstone, timedelta(minutes=35))
    await app.sessions.create(OWNER, {"project_id": project.id}, None, TRACE)

    assert await app.project_store.deleted_with_sessions(10) == [tombstone]
    await app.projects.sweep(tombstone, timedelta(0))

    assert await _count_sessions(app, project.id) == 0
    assert await app.project_store.deleted_with_sessions(10) == []


async def test_a_session_opened_while_its_project_is_deleted_is_deleted(
    app: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = await app.projects.create(OWNER, "Deleted")
    get = Projects.get

    async def delete_after_the_first_get(self: Projects, owner: str, project_id: ProjectId) -> Project:
        found = await get(self, owner, project_id)
        monkeypatch.setattr(Projects, "get", get)
        await app.projects.delete(owner, project_id, TRACE)
        return found

    monkeypatch.setattr(Projects, "get", delete_after_the_first_get)
    with pytest.raises(ProjectNotFoundError):
        await app.project_sessions.start(OWNER, project.id, None, {}, TRACE)

    assert await app.log.state(generation_id(OWNER, project.id, None, 1)) is not None
    assert await _count_sessions(app, project.id) == 0


@pytest.mark.parametrize("generations", [1, 2, 3, 4, 7, 8, 30])
async def test_the_newest_of_many_generations_is_found(app: Services, generations: int) -> None:
    project, _ = await app.projects.create(OWNER, "Old")
    for generation in range(1, generations + 1):
        session_id = generation_id(OWNER, project.id, "n", generation)
        await app.sessions.create(OWNER, {"project_id": project.id, "node_id": "n"}, session_id, TRACE)

    before = await app.project_sessions.start(OWNER, project.id, "n", {}, TRACE)
    assert (before.state.session_id, before.found) == (generation_id(OWNER, project.id, "n", generations), True)

    await app.sessions.delete(OWNER, before.state.session_id, TRACE)
    after = await app.project_sessions.start(OWNER, project.id, "n", {}, TRACE)
    assert (after.state.session_id, after.found) == (generation_id(OWNER, project.id, "n", generations + 1), False)


async def test_a_session_of_another_node_with_the_derived_id_is_skipped(app: Services) -> None:
    project, _ = await app.projects.create(OWNER, "Squatted")
    squatted = generation_id(OWNER, project.id, None, 1)
    await app.sessions.create(OWNER, {"project_id": project.id, "node_id": "another"}, squatted, TRACE)

    started = await app.project_sessions.start(OWNER, project.id, None, {}, TRACE)

    assert (started.state.session_id, started.found) == (generation_id(OWNER, project.id, None, 2), False)
