"""Rooms in Cosmos DB, read through the change feed of a room's partition; see `shared.ports.RoomFeed`.

The feed numbers the changes of a partition in their order, and can be read from any number. So these numbers are the
cursors. The documents of a batch have the same number, and no page of the feed ends between them. Each entry is written
once and alone, so no two entries share a number. Only the blanked entries of deleted sessions are written in batches,
and readers skip them.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from azure.core.exceptions import AzureError

from shared.domain.errors import StoreUnavailableError
from shared.domain.pages import MAX_PAGE_BYTES, Page, PageFiller
from shared.domain.rooms import Room, RoomEntry
from shared.ports import Tail
from shared.stores.cosmos.database import Database
from shared.stores.cosmos.requests import Item, with_retries
from shared.stores.cosmos.room_items import entry_of, entry_size, room_key
from shared.stores.following import MAX_ROOM_ENTRIES, Feeds, Polling

_POLL_PAGE = 100

_log = logging.getLogger(__name__)


class CosmosRooms:
    """The rooms of one database. `room_writer` writes them some time after the log."""

    def __init__(self, database: Database) -> None:
        self._database = database
        polling = Polling[Room, RoomEntry](self._poll, min_pause=0.1, max_pause=2.0)
        self._feeds = Feeds[Room, RoomEntry](MAX_ROOM_ENTRIES, polling)

    async def newest_cursor(self, room: Room) -> int:
        _, cursor = await with_retries(lambda: self._page(room, 1, start_time="Now"))
        return cursor

    async def read(self, room: Room, after: int, limit: int, /) -> Page[RoomEntry]:
        filler = PageFiller[RoomEntry](limit, MAX_PAGE_BYTES)
        while True:
            items, after = await with_retries(partial(self._page_after, room, after, limit))
            for item in items:
                if (entry := entry_of(item)) is None:
                    continue
                if not filler.has_room(size := entry_size(item, entry)):
                    return filler.page()
                filler.add(entry, size)
            if not items:
                return filler.page()

    def watch(self, room: Room, /, *, polls: bool = True) -> AbstractContextManager[Tail[RoomEntry]]:
        return self._feeds.watch(room, polls=polls)

    async def _poll(self, room: Room, after: int) -> tuple[Sequence[RoomEntry], int]:
        try:
            items, read_to = await self._page_after(room, after, _POLL_PAGE)
        except (AzureError, StoreUnavailableError) as error:
            _log.debug("Room %s could not be polled: %s", room, error)
            return (), after  # readers soon read the store themselves, and get the error there
        return _entries(items), read_to

    async def _page_after(self, room: Room, after: int, limit: int) -> tuple[Sequence[Item], int]:
        items, read_to = await self._page(room, limit, continuation=f'"{after}"')
        return items, max(after, read_to)

    async def _page(self, room: Room, limit: int, **start: Any) -> tuple[Sequence[Item], int]:
        """A page of changes, and the number of the last one. If it is empty: the newest number in the partition."""
        container = await self._database.rooms()
        etags: list[str] = []

        def note_etag(headers: Mapping[str, str], _: Any) -> None:
            # Read it from this response: the client's `last_response_headers` may already be those of another call.
            etags.append(headers["etag"])

        feed = container.query_items_change_feed(
            partition_key=room_key(room), max_item_count=limit, response_hook=note_etag, **start
        )
        page: AsyncIterator[Item] | None = await anext(feed.by_page(), None)
        items = [] if page is None else [item async for item in page]
        return items, int(items[-1]["_lsn"] if items else etags[-1].strip('"'))


def _entries(items: Sequence[Item]) -> list[RoomEntry]:
    return [entry for item in items if (entry := entry_of(item)) is not None]
