"""A room's entries as frames: named ones for a project, unnamed ones for all that an owner has."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from typing_extensions import TypedDict

from shared.api.edge.framing import frame_of
from shared.api.shapes.views import SessionView, as_json, envelope, event_data
from shared.domain.chunks import Event
from shared.domain.ids import SessionId
from shared.domain.rooms import PROJECT_EVENTS, RoomEntry
from shared.domain.session import SessionState
from shared.ports import SessionLog
from shared.services.large_texts import load_texts

Told: TypeAlias = tuple[str | None, Mapping[str, Any]]
"""A frame before it has its id: its name, if it has one, and its data."""


class RoomFrame(TypedDict, total=False):
    """One frame of a room's stream. `id` is the cursor behind it; the rooms of projects name their frames by `event`.

    `data` is JSON on one line.
    """

    id: str
    event: str
    data: str


_View: TypeAlias = Callable[[SessionState], Awaitable[SessionView]]


class RoomForm:
    """How a kind of room tells its entries. All watchers share what was encoded for one of them."""

    def __init__(self, log: SessionLog, view: _View, *, is_named: bool) -> None:
        self._log = log
        self._view = view
        self._is_named = is_named
        self._encoded: WeakKeyDictionary[RoomEntry, Sequence[bytes]] = WeakKeyDictionary()

    async def frames(self, entry: RoomEntry) -> Sequence[bytes]:
        """The entry's frames. The last one's id is the entry's cursor; the others count on from the one before."""
        encoded = self._encoded.get(entry)
        if encoded is None:
            told = await self.told(entry)
            ids = [f"{entry.before}~{number}" for number in range(1, len(told))] + [str(entry.cursor)]
            encoded = [_frame(frame_id, each) for frame_id, each in zip(ids, told, strict=False)]
            self._encoded[entry] = encoded
        return encoded

    async def opening(self, cursor: int, sessions: Sequence[SessionState]) -> bytes:
        """The first frame of a stream without a cursor."""
        views = [await self._view(state) for state in sessions]
        return _frame(str(cursor), self._of_session("init", {"sessions": views, "cursor": str(cursor)}))

    async def told(self, entry: RoomEntry) -> list[Told]:
        """What the entry's frames say, in order."""
        session = None if entry.session is None else {"session": await self._view(entry.session)}
        wanted = [event for event in entry.events if not self._is_named or event.type in PROJECT_EVENTS]
        events = [self._of_event(entry.session_id, each) for each in await self._filled(entry.session_id, wanted)]
        created = [self._of_session("session_created", session)] if session and entry.is_new else []
        updated = [self._of_session("session_updated", session)] if session and not entry.is_new else []
        gone = {"session_id": entry.session_id}
        deleted = [self._of_session("session_deleted", gone)] if entry.deletes else []
        return [*created, *events, *updated, *deleted]

    async def _filled(self, session_id: SessionId, events: Sequence[Event]) -> Sequence[Event]:
        return await load_texts(self._log, session_id, events)

    def _of_session(self, name: str, data: Mapping[str, Any]) -> Told:
        return (name, data) if self._is_named else (None, {"type": name, **data})

    def _of_event(self, session_id: SessionId, event: Event) -> Told:
        if self._is_named:
            return event.type, {**event_data(session_id, event), "sequence": event.sequence}
        return None, {"type": "event", "data": envelope(session_id, event)}


class RoomDelivery:
    """One watcher's progress: `skipped` frames of the first entry it has seen. A room is never over."""

    over = False

    def __init__(self, form: RoomForm, skipped: int) -> None:
        self._form = form
        self._skipped = skipped

    async def delivered(self, entries: Sequence[RoomEntry], /) -> bytes:
        frames: list[bytes] = []
        for entry in entries:
            told, self._skipped, skipped = await self._form.frames(entry), 0, self._skipped
            # At least one more followed those that were seen, whatever was cleared of the entry since.
            frames += told[min(skipped, max(len(told) - 1, 0)) :]
        return b"".join(frames)

    async def caught_up(self) -> bytes:
        return b""


def _frame(frame_id: str, told: Told) -> bytes:
    name, data = told
    return frame_of(frame_id.encode(), as_json(data), None if name is None else name.encode())
