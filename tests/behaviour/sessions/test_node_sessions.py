"""A node's session is opened once, in a project that is not deleted, and its newest generation is found."""

import pytest

from tests.behaviour.factories import DurableClient, deletion_scheduler
from tests.domain.factories import OWNER, TRACE
from turnlog.domain.errors import ProjectNotFoundError
from turnlog.domain.ids import ProjectId
from turnlog.domain.listing import SessionFilter
from turnlog.domain.project import Project
from turnlog.services.projects.projects import Projects
from turnlog.services.projects.sessions import generation_id
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio


async def _count_sessions(app: Services, project_id: ProjectId) -> int:
    return len(await app.log.sessions(SessionFilter(project_id=project_id), before=None, limit=1000))


async def test_a_session_opened_while_its_project_is_deleted_is_deleted(
    app: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = await app.projects.create(OWNER, "Deleted")
    get = Projects.get

    async def delete_after_the_first_get(self: Projects, owner: str, project_id: ProjectId) -> Project:
        found = await get(self, owner, project_id)
        monkeypatch.setattr(Projects, "get", get)
        await app.deletions.request(owner, project_id, TRACE, deletion_scheduler(DurableClient()))
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
