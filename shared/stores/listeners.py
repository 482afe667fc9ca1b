"""Waking who watches a room, and the newest entries kept at hand for them. Places are numbers in their order."""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import timedelta

from shared.domain.rooms import Room, RoomEntry

_RECENT_ENTRIES = 64


class ListenedRoom:
    """What the listeners of one room share: all entries later than `floor`. Bounded: who is slower reads the store."""

    def __init__(self, floor: int) -> None:
        self.listeners = 0
        self.news = 0
        self.floor = floor
        self._recent: deque[tuple[int, RoomEntry]] = deque()
        self._woken = asyncio.Event()

    def keep(self, place: int, entry: RoomEntry) -> None:
        self._recent.append((place, entry))
        if len(self._recent) > _RECENT_ENTRIES:
            self.floor, _ = self._recent.popleft()
        self._wake()

    def forget(self, place: int) -> None:
        """Something up to `place` was not told here: who waits has to read the store."""
        self._recent.clear()
        self.floor = place
        self._wake()

    def following(self, after: int) -> Sequence[RoomEntry]:
        """Everything later than `after`, or nothing if a part of it may not be at hand."""
        return [entry for place, entry in self._recent if place > after] if after >= self.floor else ()

    async def woken(self) -> None:
        """Wait for the next news, or `rouse`."""
        await self._woken.wait()

    def rouse(self) -> None:
        """Wake all who wait, without news."""
        # A new event each time: who waits for the next news is not to find this one's set.
        self._woken.set()
        self._woken = asyncio.Event()

    def _wake(self) -> None:
        self.news += 1
        self.rouse()


class ListeningEar:
    """One listener's ear; see `shared.ports.RoomEar`."""

    def __init__(self, room: ListenedRoom) -> None:
        self._room = room
        self._heard = room.news

    async def wait(self, after: str, at_most: timedelta) -> Sequence[RoomEntry]:
        if self._heard == self._room.news:
            try:
                async with asyncio.timeout(at_most.total_seconds()):
                    await self._room.woken()
            except TimeoutError:
                return ()
        self._heard = self._room.news
        return self._room.following(int(after))


class Listeners:
    """The listeners of every room in this process. Use on one event loop."""

    def __init__(self) -> None:
        self._rooms: dict[Room, ListenedRoom] = {}
        self._place = 0

    @contextmanager
    def watch(self, room: Room) -> Generator[ListeningEar]:
        listened = self._rooms.setdefault(room, ListenedRoom(self._place))
        listened.listeners += 1
        try:
            yield ListeningEar(listened)
        finally:
            listened.listeners -= 1
            if listened.listeners == 0:
                del self._rooms[room]

    def tell(self, place: int, rooms: Iterable[Room], entry: Callable[[], RoomEntry]) -> None:
        """Wake the listeners of `rooms`, whose entry stands at `place`; it is made only if there are any.

        A place may be missing, when who appended there was cancelled before it told, or come late: then what is at
        hand has a hole, and is forgotten.
        """
        if place <= self._place:
            return
        if place != self._place + 1:
            for listened in self._rooms.values():
                listened.forget(place - 1)
        self._place = place
        told = [listened for room in rooms if (listened := self._rooms.get(room)) is not None]
        if told:
            made = entry()
            for listened in told:
                listened.keep(place, made)
