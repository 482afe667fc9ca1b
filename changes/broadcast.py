"""Telling watchers by the thousand: what the change feed shows, as SignalR messages to the groups it concerns."""

import json
from collections.abc import AsyncGenerator, Iterable, Sequence

import azure.functions as func

from changes.feed import Document, chunks_in
from changes.signalr_messages import messages_of
from shared.api.sessions import session_view
from shared.api.shapes.room_frames import RoomForm, RoomFrame
from shared.api.shapes.views import as_json
from shared.domain.chunks import Chunk
from shared.domain.groups import project_group, session_group
from shared.domain.ids import ProjectId, SessionId, is_project_id
from shared.domain.project import Project
from shared.domain.rooms import is_visible, room_entry
from shared.domain.session import SessionState
from shared.telemetry.logs import log_failures
from shared.wiring import Services, services


@log_failures
async def broadcast(documents: func.DocumentList, messages: func.Out[str]) -> None:
    """Tell each chunk to its session's group and its project's, in order per session; deltas are not told.

    Run again it tells the same frames under the same ids. It raises where the store doesn't answer: the host then
    delivers the whole batch again.
    """
    told = [each async for each in Batch(services()).told(documents)]
    if told:
        messages.set(json.dumps(messages_of(told)))


class Batch:
    """One batch of the feed. Sessions and projects are read once for it."""

    def __init__(self, on: Services) -> None:
        self._on = on
        self._of_sessions = RoomForm(on.log, session_view, is_named=False)
        self._of_projects = RoomForm(on.log, session_view, is_named=True)
        self._states: dict[SessionId, SessionState | None] = {}
        self._projects: dict[str, Project | None] = {}

    async def told(self, documents: Iterable[Document]) -> AsyncGenerator[tuple[str, RoomFrame]]:
        """Groups and what they are told, in the order of the feed."""
        # Nine chunks of ten are deltas, and need not be read to be left out.
        for chunk in chunks_in(document for document in documents if "last_non_delta" in document):
            state = await self._state(chunk.session_id)
            if state is None or not is_visible(chunk, state):
                continue
            for frame in await _frames(self._of_sessions, chunk, state):
                yield session_group(chunk.session_id), frame
            project_id = await self._project_of(state)
            if project_id is not None:
                for frame in await _frames(self._of_projects, chunk, state):
                    yield project_group(project_id), frame

    async def _state(self, session_id: SessionId) -> SessionState | None:
        if session_id not in self._states:
            self._states[session_id] = await self._on.log.state(session_id)
        return self._states[session_id]

    async def _project_of(self, state: SessionState) -> ProjectId | None:
        """The project whose watchers may hear of the session: that names any text, also another owner's project."""
        named = state.project_id
        if named is None or not is_project_id(named):
            return None
        if named not in self._projects:
            self._projects[named] = await self._on.project_store.get(ProjectId(named))
        project = self._projects[named]
        return project.id if project is not None and project.owner == state.owner else None


async def _frames(form: RoomForm, chunk: Chunk, state: SessionState) -> Sequence[RoomFrame]:
    """The chunk's frames. Their ids are the same each time: its place, and their number in it."""
    place = f"{chunk.session_id}:{chunk.epoch}:{chunk.first}"
    frames: list[RoomFrame] = []
    for number, (name, data) in enumerate(await form.told(room_entry(0, 0, chunk, state)), 1):
        frame: RoomFrame = {"id": f"{place}~{number}", "data": as_json(data).decode()}
        frames.append(frame if name is None else {**frame, "event": name})
    return frames
