"""What the functions that push a batch of the feed have in common: which chunks clients see, and the ids of frames."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from turnlog.changes.feed import Document, chunks_in
from turnlog.domain.chunks import Chunk
from turnlog.domain.ids import ProjectId, SessionId, is_project_id, public_id
from turnlog.domain.project import Project
from turnlog.domain.rooms import is_visible
from turnlog.domain.session import SessionState
from turnlog.wiring import Services


@dataclass(frozen=True)
class VisibleChunk:
    """A chunk, its session in its newest state, and the project whose watchers may see both."""

    chunk: Chunk
    state: SessionState
    project_id: ProjectId | None


async def visible_chunks(app: Services, documents: Iterable[Document]) -> AsyncGenerator[VisibleChunk]:
    """The chunks of a batch that rooms contain, in the order of the feed. Each session and project is read once."""
    states: dict[SessionId, SessionState | None] = {}
    projects: dict[str, Project | None] = {}
    # Nine of ten chunks hold only deltas. They are left out before they are parsed.
    for chunk in chunks_in(document for document in documents if "last_non_delta" in document):
        if chunk.session_id not in states:
            states[chunk.session_id] = await app.log.state(chunk.session_id)
        state = states[chunk.session_id]
        if state is not None and is_visible(chunk, state):
            yield VisibleChunk(chunk, state, await _project_of(app, state, projects))


async def _project_of(app: Services, state: SessionState, projects: dict[str, Project | None]) -> ProjectId | None:
    """The project whose watchers may see the session. `projects` are those that were read already.

    A session's `project_id` is any text that its creator sent, possibly the id of another owner's project.
    """
    project_id = state.project_id
    if project_id is None or not is_project_id(project_id):
        return None
    if project_id not in projects:
        projects[project_id] = await app.project_store.get(ProjectId(project_id))
    project = projects[project_id]
    return project.id if project is not None and project.owner_hash == state.owner_hash else None


def frame_id(chunk: Chunk, number: int) -> str:
    """The id of a frame of a chunk, the same however often the chunk is delivered. The first number is 1."""
    return f"{public_id(chunk.session_id)}:{chunk.epoch}:{chunk.first}~{number}"


def with_ids_only(data: Mapping[str, Any]) -> dict[str, Any]:
    """The type, ids and sequence of `data`, and those of the session or the event in it: the rest is too large."""
    names = ("type", "session_id", "message_id", "sequence", "frame_id")
    ids = {name: data[name] for name in names if name in data}
    inner = {name: with_ids_only(data[name]) for name in ("session", "data") if isinstance(data.get(name), dict)}
    return {**ids, **inner, "too_large": True}
