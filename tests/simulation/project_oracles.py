"""The oracle of projects: a project's document and the log say the same about each change."""

from tests.simulation.records import load_record
from tests.simulation.world import World
from turnlog.domain.events import VibecodeResponse

PROJECTS = "the project and its responses agree"


async def check_projects(world: World) -> None:
    """Check that each applied patch is reported by its turn, and each reported patch is applied."""
    reported: dict[tuple[str, str], int] = {}
    for session in world.sessions:
        record = await load_record(world, session)
        if record.state is None or record.state.deleted or record.state.project_id is None:
            continue
        for event in record.events:
            if isinstance(event.data, VibecodeResponse) and event.data.patch is not None:
                reported[record.state.project_id, str(event.message_id)] = event.data.project_revision
    for created in world.projects:
        project = await world.truth.project_store.get(created.id)
        applied = {} if project is None else {(project.id, each.message_id): each.revision for each in project.applied}
        own = {key: revision for key, revision in reported.items() if key[0] == created.id}
        if applied != own and not _was_deleted(world):
            world.report(PROJECTS, f"{created.id}: applied {applied}, reported {own}")


def _was_deleted(world: World) -> bool:
    """Whether a session of the world was deleted, and its responses with it."""
    return bool(world.ledger.deleted)
