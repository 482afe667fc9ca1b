"""Watching a room: what is kept of it from a cursor on, then what comes."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.listing import SessionFilter
from shared.domain.rooms import Room, RoomEntry
from shared.domain.session import SessionState
from shared.ports import RoomFeed, SessionLog

MAX_SESSIONS = 200
_PAGE = 20  # entries, each up to a posted body's size: what a watcher that never reads may hold


@dataclass(frozen=True)
class RoomSnapshot:
    """A room at this moment. Whatever happens after the sessions were read follows `cursor`."""

    cursor: str
    sessions: Sequence[SessionState]


class Rooms:
    def __init__(self, feed: RoomFeed, log: SessionLog) -> None:
        self._feed = feed
        self._log = log

    async def snapshot(self, room: Room) -> RoomSnapshot:
        """The newest sessions that are not archived, and where to go on. The cursor is taken before they are read."""
        cursor = await self._feed.newest_cursor(room)
        wanted = SessionFilter(owner=room.owner, project_id=room.project_id, archived=False)
        return RoomSnapshot(cursor, await self._log.sessions(wanted, before=None, limit=MAX_SESSIONS))

    async def check_cursor(self, room: Room, cursor: str) -> str:
        """The cursor, or the newest one if it lies beyond the end.

        Raises:
            InvalidRequestError: it is none of ours.
        """
        return await self._feed.check_cursor(room, cursor)

    async def follow(self, room: Room, after: str, patience: timedelta) -> AsyncGenerator[Sequence[RoomEntry], None]:
        """Yield the entries later than `after`, in order, as long as the caller goes on asking.

        An empty list says that the watcher has caught up; the next one comes after at most `patience`.
        """
        with self._feed.watch(room) as ear:
            entries: Sequence[RoomEntry] = ()
            while True:
                entries = entries or await self._feed.read(room, after, _PAGE)
                while entries:
                    after = entries[-1].cursor
                    yield entries
                    entries = await self._feed.read(room, after, _PAGE) if len(entries) == _PAGE else ()
                yield ()
                entries = await ear.wait(after, patience)
