"""Plays the change-feed trigger in a test: calls `write_rooms` with what the feed of the sessions returns."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import pytest
from azure.core.exceptions import AzureError
from azure.functions import DocumentList
from azure.functions.cosmosdb import CosmosDBTriggerConverter
from azure.functions.meta import Datum

from turnlog import wiring
from turnlog.changes.rooms import write_rooms
from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.pages import Page
from turnlog.domain.rooms import Room, RoomEntry
from turnlog.local.host.feeds import ChangeFeed
from turnlog.ports import RoomFeed, Tail
from turnlog.settings import settings
from turnlog.stores.cosmos.database import Database
from turnlog.stores.cosmos.rooms import CosmosRooms

T = TypeVar("T")

_BATCH = 7  # documents, few enough that a test has many batches


class UpToDateRooms:
    """Rooms that hold everything that was appended whenever they are read."""

    def __init__(self, feed: RoomFeed, changes: ChangeFeed) -> None:
        self._feed = feed
        self._changes = changes
        self._lock = asyncio.Lock()

    async def newest_cursor(self, room: Room) -> int:
        await self.update()
        return await self._feed.newest_cursor(room)

    async def read(self, room: Room, after: int, limit: int, /) -> Page[RoomEntry]:
        await self.update()
        return await self._feed.read(room, after, limit)

    def watch(self, room: Room, /, *, polls: bool = True) -> AbstractContextManager[Tail[RoomEntry]]:
        return self._feed.watch(room, polls=polls)

    async def update(self) -> None:
        """Process all that the change feed holds."""
        async with self._lock:
            while batch := await _until_it_succeeds(self._changes.batch):
                await _until_it_succeeds(partial(write_rooms, document_list(batch)))

    async def keep_updating(self) -> None:
        while True:
            await self.update()
            await asyncio.sleep(0.05)


async def _until_it_succeeds(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat `call` as the host does."""
    while True:
        with suppress(AzureError, StoreUnavailableError):
            return await call()


def document_list(documents: Sequence[dict[str, Any]]) -> DocumentList:
    """A batch in the form in which the worker calls a function with it."""
    decoded = CosmosDBTriggerConverter.decode(Datum(json.dumps(documents), "json"), trigger_metadata=None)
    assert decoded is not None
    return decoded


@asynccontextmanager
async def cosmos_services(endpoint: str, database: str) -> AsyncGenerator[wiring.Services]:
    """While the body runs, `services()` returns these: those of a process on a Cosmos DB database."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("COSMOS_ENDPOINT", endpoint)
        environment.setenv("COSMOS_DATABASE", database)
        _clear_caches()
        app = wiring.services()
        yield app
        await app.log.close()
    _clear_caches()


def _clear_caches() -> None:
    wiring.services.cache_clear()
    settings.cache_clear()


@asynccontextmanager
async def up_to_date_rooms(endpoint: str, name: str) -> AsyncGenerator[UpToDateRooms]:
    """The rooms of a database. While the body runs, they are updated with all that is appended to it."""
    database = Database(endpoint, name)
    async with cosmos_services(endpoint, name):
        rooms = UpToDateRooms(CosmosRooms(database), ChangeFeed(await database.sessions(), _BATCH))
        task = asyncio.create_task(rooms.keep_updating())
        yield rooms
        task.cancel()
        await asyncio.wait([task])
        await database.close()
