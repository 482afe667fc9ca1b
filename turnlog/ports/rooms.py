"""The ports of rooms: what happens in the sessions of an owner or of a project, as one feed.

Every method raises StoreUnavailableError when the store doesn't answer.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from turnlog.domain.chunks import Chunk
from turnlog.domain.ids import SessionId
from turnlog.domain.rooms import Room, RoomEntry
from turnlog.domain.session import SessionState
from turnlog.ports.feeds import Feed


class RoomFeed(Feed[Room, RoomEntry], Protocol):
    """The entries of each room, kept for 7 days. Each comes at least once, and those of one session in order."""

    async def newest_cursor(self, room: Room) -> int:
        """The cursor after everything that the room holds now: all that is acknowledged later comes after it."""
        ...


class RoomWriter(Protocol):
    """Writes rooms where a store can't do so in the transaction of an append."""

    async def write(self, chunks: Sequence[Chunk], states: Mapping[SessionId, SessionState]) -> None:
        """Write the room entries of `chunks`, in order per session. `states` are the sessions that are known already.

        Safe to repeat, also by two processes at once: a room gets one entry for a chunk. For a deleted session the
        deletion is written, and earlier entries are blanked. Raises StoreUnavailableError if a part is not written.
        """
        ...
