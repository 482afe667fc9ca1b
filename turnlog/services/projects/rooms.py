"""Rooms: a snapshot of the sessions, and the feed of what happens in them."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from turnlog.domain.listing import SessionFilter
from turnlog.domain.pages import MAX_RESPONSE_BYTES, fill
from turnlog.domain.rooms import FIRST_CURSOR, Room, RoomEntry
from turnlog.domain.session import SessionState
from turnlog.ports import RoomFeed, SessionIndex
from turnlog.services.log.stream import follow
from turnlog.services.sessions import view_size

MAX_SESSIONS = 200


@dataclass(frozen=True)
class RoomSnapshot:
    """The sessions of a room. Whatever happens after they were read follows `cursor`."""

    cursor: int
    sessions: Sequence[SessionState]


class Rooms:
    def __init__(self, feed: RoomFeed, index: SessionIndex) -> None:
        self._feed = feed
        self._index = index

    async def snapshot(self, room: Room) -> RoomSnapshot:
        """The newest sessions that are not archived, at most `MAX_RESPONSE_BYTES` of them.

        The cursor is taken before they are read.
        """
        cursor = await self._feed.newest_cursor(room)
        wanted = SessionFilter(owner=room.owner, project_id=room.project_id, archived=False)
        sessions = await self._index.sessions(wanted, before=None, limit=MAX_SESSIONS)
        return RoomSnapshot(cursor, fill(((state, view_size(state)) for state in sessions), None, MAX_RESPONSE_BYTES))

    async def newest_cursor(self, room: Room) -> int:
        """The cursor after everything that the room holds now."""
        return await self._feed.newest_cursor(room)

    async def existing_cursor(self, room: Room, cursor: int) -> int:
        """`cursor`, or the newest one if it is beyond the end of the room."""
        return cursor if cursor == FIRST_CURSOR else min(cursor, await self._feed.newest_cursor(room))

    def follow(self, room: Room, after: int, timeout: timedelta) -> AsyncGenerator[Sequence[RoomEntry]]:
        """Yield the entries later than `after`; see `stream.follow`."""
        return follow(self._feed, room, after, timeout)
