"""Plays the change-feed trigger in a test: gives `write_rooms` what the feed of the sessions' container delivers."""

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

from changes.rooms import write_rooms
from local.host.feeds import ChangeFeed
from shared import wiring
from shared.domain.errors import StoreUnavailableError
from shared.domain.rooms import Room, RoomEntry
from shared.ports import RoomEar, RoomFeed
from shared.settings import settings
from shared.stores.cosmos.database import Database
from shared.stores.cosmos.rooms import CosmosRooms

T = TypeVar("T")

_BATCH = 7  # documents, few enough for a test to see many batches


class ToldRooms:
    """Rooms that are read when they have been told of everything that was appended."""

    def __init__(self, feed: RoomFeed, changes: ChangeFeed) -> None:
        self._feed = feed
        self._changes = changes
        self._telling = asyncio.Lock()

    async def newest_cursor(self, room: Room) -> str:
        await self.tell()
        return await self._feed.newest_cursor(room)

    async def check_cursor(self, room: Room, cursor: str) -> str:
        return await self._feed.check_cursor(room, cursor)

    async def read(self, room: Room, after: str, limit: int) -> Sequence[RoomEntry]:
        await self.tell()
        return await self._feed.read(room, after, limit)

    def watch(self, room: Room) -> AbstractContextManager[RoomEar]:
        return self._feed.watch(room)

    async def tell(self) -> None:
        """Write what the feed holds by now."""
        async with self._telling:
            while batch := await _insist(self._changes.batch):
                await _insist(partial(write_rooms, given(batch)))

    async def keep_telling(self) -> None:
        while True:
            await self.tell()
            await asyncio.sleep(0.05)


async def _insist(call: Callable[[], Awaitable[T]]) -> T:
    """What the host does: the same again, until it succeeds."""
    while True:
        with suppress(AzureError, StoreUnavailableError):
            return await call()


def given(documents: Sequence[dict[str, Any]]) -> DocumentList:
    """A batch as the worker hands it to a function."""
    decoded = CosmosDBTriggerConverter.decode(Datum(json.dumps(documents), "json"), trigger_metadata=None)
    assert decoded is not None
    return decoded


@asynccontextmanager
async def process(endpoint: str, database: str) -> AsyncGenerator[wiring.Services]:
    """What `services()` gives meanwhile: those of a process on a Cosmos DB database."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("COSMOS_ENDPOINT", endpoint)
        environment.setenv("COSMOS_DATABASE", database)
        _forget()
        on = wiring.services()
        yield on
        await on.log.close()
    _forget()


def _forget() -> None:
    wiring.services.cache_clear()
    settings.cache_clear()


@asynccontextmanager
async def telling(endpoint: str, name: str) -> AsyncGenerator[ToldRooms]:
    """The rooms of a database, told meanwhile of all that is appended to it."""
    database = Database(endpoint, name)
    async with process(endpoint, name):
        rooms = ToldRooms(CosmosRooms(database), ChangeFeed(await database.sessions(), _BATCH))
        task = asyncio.create_task(rooms.keep_telling())
        yield rooms
        task.cancel()
        await asyncio.wait([task])
        await database.close()
