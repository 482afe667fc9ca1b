"""Rooms in Cosmos DB, read by the change feed of a room's partition; see `shared.ports.RoomFeed`.

The feed numbers the changes of a partition in their order and continues behind any number, so these are the cursors. A
batch is one change: its documents have one number, and no page of the feed ends between them. Each entry is written
once and alone, so no two entries have the same number. Only blanks are written in batches, and nobody sees them.
"""

import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from azure.core.exceptions import AzureError

from shared.domain.errors import InvalidCursorError, StoreUnavailableError
from shared.domain.rooms import FIRST_CURSOR, Room, RoomEntry
from shared.ports import RoomEar
from shared.stores.cosmos.calls import with_retries
from shared.stores.cosmos.database import Database
from shared.stores.cosmos.room_items import entry_in, room_key
from shared.stores.cosmos.room_poller import PolledRooms

_LOGGER = logging.getLogger(__name__)
_LOOKED_AT_ONCE = 100


class CosmosRooms:
    """The rooms of one database, as `room_writer` writes them, some time after the log."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._polled = PolledRooms(self._look)

    async def newest_cursor(self, room: Room) -> str:
        _, place = await with_retries(lambda: self._page(room, 1, start_time="Now"))
        return str(place)

    async def check_cursor(self, room: Room, cursor: str) -> str:
        if not re.fullmatch(r"\d{1,18}", cursor, re.ASCII):
            raise InvalidCursorError("the `id:` of a frame, or 0")
        return cursor if cursor == FIRST_CURSOR else str(min(int(cursor), int(await self.newest_cursor(room))))

    async def read(self, room: Room, after: str, limit: int) -> Sequence[RoomEntry]:
        found: list[RoomEntry] = []
        place = int(after)
        while len(found) < limit:
            entries, reached = await with_retries(partial(self._following, room, place, limit))
            if entries is None:
                break
            found += entries
            place = reached
        return found[:limit]

    def watch(self, room: Room) -> AbstractContextManager[RoomEar]:
        return self._polled.watch(room)

    async def _look(self, room: Room, after: int) -> tuple[Sequence[RoomEntry], int]:
        try:
            entries, reached = await self._following(room, after, _LOOKED_AT_ONCE)
        except (AzureError, StoreUnavailableError) as error:
            _LOGGER.debug("The room %s couldn't be looked at: %s", room, error)
            return (), after  # watchers read in a while, and are told then
        return entries or (), reached

    async def _following(self, room: Room, after: int, limit: int) -> tuple[Sequence[RoomEntry] | None, int]:
        """The entries of the next page behind a place, and where that ends; None if nothing follows by now."""
        items, reached = await self._page(room, limit, continuation=f'"{after}"')
        return [entry for item in items if (entry := entry_in(item))] if items else None, max(after, reached)

    async def _page(self, room: Room, limit: int, **since: Any) -> tuple[Sequence[dict[str, Any]], int]:
        """A page of changes, and the place at which it ends: the last one's, or the newest of the partition."""
        container = await self._database.rooms()
        etags: list[str] = []

        def note(headers: Mapping[str, str], _: Any) -> None:
            # Taken from this very response: the client's `last_response_headers` may be another call's by now.
            etags.append(headers["etag"])

        key = room_key(room)
        feed = container.query_items_change_feed(partition_key=key, max_item_count=limit, response_hook=note, **since)
        page: AsyncIterator[dict[str, Any]] | None = await anext(feed.by_page(), None)
        items = [] if page is None else [item async for item in page]
        return items, int(items[-1]["_lsn"] if items else etags[-1].strip('"'))
