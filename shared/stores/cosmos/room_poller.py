"""Hearing what a room is told: one of its watchers in the process looks for all of them, and wakes them."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeAlias

from shared.domain.rooms import Room, RoomEntry
from shared.stores.listeners import ListenedRoom

Look: TypeAlias = Callable[[Room, int], Awaitable[tuple[Sequence[RoomEntry], int]]]
"""Reads the entries behind a place, and says how far it has seen."""

_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


class PolledRoom(ListenedRoom):
    """What the watchers of one room share: how far it was looked at, and by whom."""

    def __init__(self, room: Room, look: Look) -> None:
        super().__init__(floor=0)
        self.polled = False
        self._room = room
        self._look = look
        self._place: int | None = None
        self._changed_at = asyncio.get_running_loop().time()

    def begin(self, after: int) -> None:
        """Look from `after` on, which its watcher has read up to, unless it is looked at already."""
        if self._place is None:
            self._place = self.floor = after

    async def heard(self, news: int) -> None:
        """Return once there is more than `news`."""
        try:
            while self.news == news:
                if self.polled:
                    await self.woken()
                else:
                    await self._poll(news)
        finally:
            # Not where polling ends, since who could take over may itself be cancelled before it gets to it.
            if not self.polled:
                self.rouse()

    async def _poll(self, news: int) -> None:
        self.polled = True
        try:
            while self.news == news:
                await asyncio.sleep(self._pause())
                entries, self._place = await self._look(self._room, self._place or 0)
                for entry in entries:
                    self._changed_at = asyncio.get_running_loop().time()
                    self.keep(int(entry.cursor), entry)
        finally:
            self.polled = False

    def _pause(self) -> float:
        """Half as long as the room has been silent."""
        silent = asyncio.get_running_loop().time() - self._changed_at
        return min(max(silent / 2, _SHORTEST_PAUSE), _LONGEST_PAUSE)


class PolledEar:
    """One watcher's ear; see `shared.ports.RoomEar`."""

    def __init__(self, room: PolledRoom) -> None:
        self._room = room
        self._heard = room.news
        self._has_joined = False

    async def wait(self, after: str, at_most: timedelta) -> Sequence[RoomEntry]:
        place = int(after)
        self._room.begin(place)
        if not self._joins(place):
            return ()
        if self._heard == self._room.news:
            try:
                async with asyncio.timeout(at_most.total_seconds()):
                    await self._room.heard(self._heard)
            except TimeoutError:
                return ()
        self._heard = self._room.news
        return self._room.following(place)

    def _joins(self, place: int) -> bool:
        """False if the watcher must read once more: what came before the room was first looked at it may have missed.

        Once it has read after that, it is told of everything, wherever its cursor stands.
        """
        has_joined, self._has_joined = self._has_joined, True
        return has_joined or place >= self._room.floor


class PolledRooms:
    """The watched rooms of this process. Use on one event loop."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._rooms: dict[Room, PolledRoom] = {}

    @contextmanager
    def watch(self, room: Room) -> Generator[PolledEar]:
        watched = self._rooms.setdefault(room, PolledRoom(room, self._look))
        watched.listeners += 1
        try:
            yield PolledEar(watched)
        finally:
            watched.listeners -= 1
            if watched.listeners == 0:
                del self._rooms[room]
