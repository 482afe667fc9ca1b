"""A deleted project: what is left of it, who continues its deletion, and that it takes no new sessions."""

from datetime import timedelta

import pytest

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import DurableClient, create_session, deletion_scheduler, outcome_of
from tests.domain.factories import OWNER, TRACE
from turnlog.domain.errors import ProjectNotFoundError
from turnlog.domain.ids import ProjectId, owner_hash
from turnlog.domain.listing import SessionFilter
from turnlog.orchestrations.activities import delete_sessions
from turnlog.orchestrations.timers import sweep
from turnlog.wiring import Services

WRITTEN = "what somebody wrote"

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("model")]


async def _new_project(app: Services, sessions: int) -> ProjectId:
    project, _ = await app.projects.create(OWNER, "Project")
    for _ in range(sessions):
        await create_session(app, project_id=project.id)
    return project.id


async def _run(client: DurableClient) -> None:
    """Run the newest instance to its end."""
    work = client.started[-1]
    while outcome_of(await delete_sessions(work, client)) == "more":  # pyright: ignore[reportArgumentType]
        pass


async def test_a_deleted_project_keeps_nothing_that_was_written(app: Services) -> None:
    document = {"nodes": {"n": {"name": WRITTEN, "instructions": WRITTEN}}}
    project, _ = await app.projects.create(OWNER, WRITTEN, document)
    session = (await app.project_sessions.start(OWNER, project.id, "n", {"session_name": WRITTEN}, TRACE)).state
    assert WRITTEN in str(await app.project_store.get(project.id))

    await app.deletions.request(OWNER, project.id, TRACE, deletion_scheduler(DurableClient()))

    tombstone, left = await app.project_store.get(project.id), await app.log.state(session.session_id)
    assert tombstone is not None
    assert left is not None
    assert (tombstone.id, tombstone.deleted, left.deleted) == (project.id, True, True)
    assert WRITTEN not in tombstone.model_dump_json() + left.model_dump_json()
    assert tombstone.owner == tombstone.owner_hash == left.owner == owner_hash(OWNER)


async def test_the_sweep_starts_an_instance_for_a_deletion_whose_start_was_lost(app: Services, clock: Clock) -> None:
    project_id, other_id = await _new_project(app, 130), await _new_project(app, 1)
    client = DurableClient(broken=True)
    await app.deletions.request(OWNER, project_id, TRACE, deletion_scheduler(client))
    client.broken = False
    clock.move(timedelta(minutes=1))

    await sweep(client)  # pyright: ignore[reportArgumentType]
    await _run(client)

    deletion = await app.deletions.progress(OWNER, project_id)
    left = [len(await app.log.sessions(SessionFilter(project_id=each), before=None, limit=1000))
            for each in (project_id, other_id)]  # fmt: skip
    assert (left, deletion.deleted, deletion.ended_at) == ([0, 1], 130, clock.now())


async def test_a_deleted_project_takes_no_new_sessions(app: Services) -> None:
    project_id = await _new_project(app, 130)
    await app.deletions.request(OWNER, project_id, TRACE, deletion_scheduler(DurableClient()))

    for fields in ({"agent_name": None}, {"agent_name": "assistant"}):
        with pytest.raises(ProjectNotFoundError):
            await app.project_sessions.with_agent(OWNER, {"project_id": project_id, **fields})
    with pytest.raises(ProjectNotFoundError):
        await app.project_sessions.start(OWNER, project_id, None, {}, TRACE)
    label = {"project_id": project_id, "agent_name": None}
    assert await app.project_sessions.with_agent("another", label) == label
