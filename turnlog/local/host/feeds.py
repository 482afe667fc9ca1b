"""Cosmos DB triggers: functions that get the changes of a container, batch after batch.

The position of each function in its feed is in the container of the leases, as on Azure, so that a host continues where
another one stopped. Hosts that run at the same time each get all changes: on Azure also a batch may come twice.
"""

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from azure.cosmos.aio import ContainerProxy, DatabaseProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from azure.functions.cosmosdb import CosmosDBTriggerConverter
from azure.functions.meta import Datum

from turnlog.local.errors import RefusedError
from turnlog.local.host.functions import FeedFunction
from turnlog.stores.cosmos.database import open_client

_log = logging.getLogger(__name__)


def endpoint_of(feed: FeedFunction) -> str:
    """Return the account that the trigger's connection names, as the host finds it with a managed identity.

    Raises:
        RefusedError: the setting is missing.
    """
    name = f"{feed.connection}__accountEndpoint"
    if not os.environ.get(name):
        raise RefusedError(f"function {feed.function.name}: {name} is not set: name a Cosmos DB account")
    return os.environ[name]


class ChangeFeed:
    """One reading of a container's change feed: from its beginning, or from where another reading stopped."""

    def __init__(self, container: ContainerProxy, max_items: int, continuation: str | None = None) -> None:
        self.continuation = continuation
        self._container = container
        self._max_items = max_items

    async def batch(self) -> Sequence[dict[str, Any]]:
        """Return the next changes, about `max_items`, never a part of a transaction; nothing if there are none yet."""
        since: dict[str, Any] = {"start_time": "Beginning"}
        if self.continuation is not None:
            since = {"continuation": self.continuation}
        pages: Any = self._container.query_items_change_feed(max_item_count=self._max_items, **since).by_page()
        page = await anext(pages, None)
        if page is None:
            return ()
        self.continuation = pages.continuation_token
        return [document async for document in page]


class Feeds:
    """Gives the functions of `feeds` their changes, from `start` to `stop`."""

    def __init__(self, feeds: Sequence[FeedFunction]) -> None:
        self._feeds = [(feed, endpoint_of(feed)) for feed in feeds]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to follow every feed."""
        self._tasks = [asyncio.create_task(_follow(feed, endpoint)) for feed, endpoint in self._feeds]

    async def stop(self) -> None:
        """Stop following; a function that runs is interrupted, and the next host gives it the batch again."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)


async def _follow(feed: FeedFunction, endpoint: str) -> None:
    while True:
        try:
            async with AsyncExitStack() as resources:
                client = await open_client(endpoint, "Strong", resources)
                await _deliver(feed, client.get_database_client(feed.database))
        except Exception:  # noqa: BLE001 - whatever failed, the feed is read again
            _log.exception("the changes for function %s can't be read; trying again", feed.function.name)
        await asyncio.sleep(1)


async def _deliver(feed: FeedFunction, database: DatabaseProxy) -> None:
    leases, lease_id = database.get_container_client(feed.lease_container), f"{feed.lease_prefix}local.{feed.container}"
    continuation = await _read_lease(leases, lease_id)
    changes = ChangeFeed(database.get_container_client(feed.container), feed.max_items, continuation)
    while True:
        if documents := await changes.batch():
            await _call_until_it_succeeds(feed, documents)
            await leases.upsert_item({"id": lease_id, "continuation": changes.continuation}, no_response=True)
        else:
            await asyncio.sleep(feed.poll_delay.total_seconds())


async def _call_until_it_succeeds(feed: FeedFunction, documents: Sequence[dict[str, Any]]) -> None:
    pause = feed.retry_min
    while True:
        batch = CosmosDBTriggerConverter.decode(Datum(json.dumps(documents), "json"), trigger_metadata=None)
        try:
            await feed.function.call(batch)
        except Exception:  # noqa: BLE001 - it is the app's; the retry policy says what follows
            _log.exception("function %s failed; it gets the batch again", feed.function.name)
        else:
            return
        await asyncio.sleep(pause.total_seconds())
        pause = min(2 * pause, feed.retry_max)


async def _read_lease(leases: ContainerProxy, lease_id: str) -> str | None:
    try:
        return (await leases.read_item(lease_id, lease_id))["continuation"]
    except CosmosResourceNotFoundError:
        return None
