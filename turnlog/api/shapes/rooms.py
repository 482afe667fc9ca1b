"""Rooms: what a client reads of many sessions at once."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from turnlog.api.shapes.events import envelope, event_data
from turnlog.api.shapes.sessions import view_listed_session
from turnlog.domain.chunks import Event
from turnlog.domain.ids import SessionId, public_id
from turnlog.domain.rooms import RoomEntry, in_project_room
from turnlog.domain.session import SessionState
from turnlog.ports import SessionLog
from turnlog.services.log.large_texts import load_text_of
from turnlog.services.sessions import Sessions


class RoomFrame(TypedDict, total=False):
    """One frame of a room's stream. `id` is the cursor after it. Only the rooms of projects send `event`.

    `data` is JSON on one line.
    """

    id: str
    event: str
    data: str


class FrameBody(NamedTuple):
    """A frame that has no id yet. `name` is None in the room of an owner."""

    name: str | None
    data: Mapping[str, Any]


class RoomRenderer:
    """Renders the entries of one kind of room: named frames for a project, unnamed ones for an owner.

    `has_all_events`: not only the events of projects' rooms. An owner's room has them in any case.
    """

    def __init__(self, log: SessionLog, sessions: Sessions, *, is_named: bool, has_all_events: bool = False) -> None:
        self._log = log
        self._sessions = sessions
        self._is_named = is_named
        self._has_all_events = has_all_events or not is_named

    async def render(self, entry: RoomEntry) -> list[FrameBody]:
        """The bodies of the entry's frames, in order."""
        return [await part() for part in self.parts(entry)]

    def parts(self, entry: RoomEntry) -> list[Callable[[], Awaitable[FrameBody]]]:
        """Functions that render the bodies of the entry's frames, in order: together they may be large."""
        session_id, state = entry.session_id, entry.session
        wanted = [event for event in entry.events if self._has_all_events or in_project_room(event)]
        events = [partial(self._of_event, session_id, event) for event in wanted]
        created = [partial(self._of_state, "session_created", state)] if state and entry.is_new else []
        updated = [partial(self._of_state, "session_updated", state)] if state and not entry.is_new else []
        deleted = [partial(self._of_deletion, session_id)] if entry.is_deletion else []
        return [*created, *events, *updated, *deleted]

    async def render_init(self, cursor: str, sessions: Sequence[SessionState]) -> FrameBody:
        """The body of the first frame of a stream without a cursor."""
        views = [await view_listed_session(self._sessions, state) for state in sessions]
        return self._of_session("init", {"sessions": views, "cursor": cursor})

    def _of_session(self, name: str, data: Mapping[str, Any]) -> FrameBody:
        return FrameBody(name, data) if self._is_named else FrameBody(None, {"type": name, **data})

    async def _of_state(self, name: str, state: SessionState) -> FrameBody:
        return self._of_session(name, {"session": await view_listed_session(self._sessions, state)})

    async def _of_deletion(self, session_id: SessionId) -> FrameBody:
        return self._of_session("session_deleted", {"session_id": public_id(session_id)})

    async def _of_event(self, session_id: SessionId, event: Event) -> FrameBody:
        event = await load_text_of(self._log, session_id, event)
        if self._is_named:
            return FrameBody(event.type, {**event_data(public_id(session_id), event), "sequence": event.sequence})
        return FrameBody(None, {"type": "event", "data": envelope(public_id(session_id), event)})
