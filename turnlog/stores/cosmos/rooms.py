"""Rooms in Cosmos DB, read through the change feeds of a room's partitions; see `turnlog.ports.RoomFeed`.

Each day has its own partition. The feed numbers the changes of a partition in their order, and can be read from any
number. So the day and this number are the cursor. The documents of a batch have the same number, and no page of the
feed ends between them. Each entry is written once and alone, so no two entries share a number. Only the blanked entries
of deleted sessions are written in batches, and readers skip them.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from azure.core.exceptions import AzureError

from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.pages import MAX_PAGE_BYTES, Page, PageFiller
from turnlog.domain.rooms import Room, RoomEntry
from turnlog.ports import Tail
from turnlog.stores.cosmos.containers import ROOMS_TTL
from turnlog.stores.cosmos.database import Database
from turnlog.stores.cosmos.requests import Item, with_retries
from turnlog.stores.cosmos.room_items import cursor_of, day_of, entry_of, entry_size, position_of, room_key
from turnlog.stores.following import MAX_ROOM_ENTRIES, Feeds, Polling

_POLL_PAGE = 100
_MAX_LATENESS = 30
"""How many seconds after midnight UTC something may still be written to the day before: clocks differ, and a request
takes its time. For so long, readers stay at the day before."""

_log = logging.getLogger(__name__)


class CosmosRooms:
    """The rooms of one database. `room_writer` writes them some time after the log."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        polling = Polling[Room, RoomEntry](self._poll, min_pause=0.1, max_pause=2.0)
        self._feeds = Feeds[Room, RoomEntry](MAX_ROOM_ENTRIES, polling)

    async def newest_cursor(self, room: Room) -> int:
        day = self._last_day()
        _, number = await with_retries(lambda: self._page(room, day, 1, start_time="Now"))
        return cursor_of(day, number)

    async def read(self, room: Room, after: int, limit: int, /) -> Page[RoomEntry]:
        filler = PageFiller[RoomEntry](limit, MAX_PAGE_BYTES)
        while True:
            items, day, after = await with_retries(partial(self._page_after, room, after, limit))
            for item in items:
                if (entry := entry_of(item, day)) is None:
                    continue
                if not filler.has_room(size := entry_size(item, entry)):
                    return filler.page()
                filler.add(entry, size)
            if not items and day >= self._last_day():
                return filler.page()

    def watch(self, room: Room, /, *, polls: bool = True) -> AbstractContextManager[Tail[RoomEntry]]:
        return self._feeds.watch(room, polls=polls)

    async def _poll(self, room: Room, after: int) -> tuple[Sequence[RoomEntry], int]:
        try:
            items, day, read_to = await self._page_after(room, after, _POLL_PAGE)
        except (AzureError, StoreUnavailableError) as error:
            _log.debug("Room %s could not be polled: %s", room, error)
            return (), after  # readers soon read the store themselves, and get the error there
        return [entry for item in items if (entry := entry_of(item, day)) is not None], read_to

    def _last_day(self) -> int:
        """The newest day that is read."""
        return day_of(self._now() - _MAX_LATENESS)

    async def _page_after(self, room: Room, after: int, limit: int) -> tuple[Sequence[Item], int, int]:
        """A page of changes after a cursor, their day, and the cursor after them.

        If the day has no more, that cursor is at the beginning of the next day.
        """
        day, number = position_of(after)
        oldest = day_of(self._now() - ROOMS_TTL)
        if day < oldest:
            day, number = oldest, 0
        items, read_to = await self._page(room, day, limit, continuation=f'"{number}"')
        if not items and day < self._last_day():
            return items, day, cursor_of(day + 1, 0)
        return items, day, cursor_of(day, max(number, read_to))

    async def _page(self, room: Room, day: int, limit: int, **start: Any) -> tuple[Sequence[Item], int]:
        """A page of changes, and the number of the last one. If it is empty: the newest number in the partition."""
        container = await self._database.rooms()
        etags: list[str] = []

        def note_etag(headers: Mapping[str, str], _: Any) -> None:
            # Read it from this response: the client's `last_response_headers` may already be those of another call.
            etags.append(headers["etag"])

        feed = container.query_items_change_feed(
            partition_key=room_key(room, day), max_item_count=limit, response_hook=note_etag, **start
        )
        page: AsyncIterator[Item] | None = await anext(feed.by_page(), None)
        items = [] if page is None else [item async for item in page]
        return items, int(items[-1]["_lsn"] if items else etags[-1].strip('"'))
