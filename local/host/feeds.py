"""Cosmos DB triggers: functions that are given the changes of a container, batch after batch.

Where a function has come to stands in its leases' container, as on Azure, so that a host goes on where another ended.
Hosts that run at the same time are each given everything: on Azure too a batch may come twice.
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

from local.errors import RefusedError
from local.host.index import Fed
from local.host.invoke import Invoker
from shared.stores.cosmos.database import open_client

logger = logging.getLogger(__name__)

_LONGEST_PAUSE = 30.0


def endpoint_of(fed: Fed) -> str:
    """The account that a function's connection names, as the host finds it with a managed identity.

    Raises:
        RefusedError: no setting says it.
    """
    name = f"{fed.connection}__accountEndpoint"
    if not os.environ.get(name):
        raise RefusedError(f"function {fed.function.name}: {name} is not set: name a Cosmos DB account")
    return os.environ[name]


class ChangeFeed:
    """One reading of a container's change feed, from its beginning, or from where another one ended."""

    def __init__(self, container: ContainerProxy, at_most: int, continuation: str | None = None) -> None:
        self.continuation = continuation
        self._container = container
        self._at_most = at_most

    async def batch(self) -> Sequence[dict[str, Any]]:
        """What follows, about so many documents, never a part of a transaction; nothing if that was all by now."""
        since: dict[str, Any] = {"start_time": "Beginning"}
        if self.continuation is not None:
            since = {"continuation": self.continuation}
        pages: Any = self._container.query_items_change_feed(max_item_count=self._at_most, **since).by_page()
        page = await anext(pages, None)
        if page is None:
            return ()
        self.continuation = pages.continuation_token
        return [document async for document in page]


class Feeds:
    """Gives the functions of `feeds` the changes they wait for, from `start` to `stop`."""

    def __init__(self, feeds: Sequence[Fed], invoker: Invoker) -> None:
        self._feeds = [(fed, endpoint_of(fed)) for fed in feeds]
        self._invoker = invoker
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to follow every feed."""
        self._tasks = [asyncio.create_task(self._follow(fed, endpoint)) for fed, endpoint in self._feeds]

    async def stop(self) -> None:
        """Stop following; a batch that is under way is interrupted, and given again by the next host."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    async def _follow(self, fed: Fed, endpoint: str) -> None:
        while True:
            try:
                async with AsyncExitStack() as resources:
                    client = await open_client(endpoint, "Strong", resources)
                    await self._give(fed, client.get_database_client(fed.database))
            except Exception:
                logger.exception("the changes for function %s can't be read; trying again", fed.function.name)
            await asyncio.sleep(1)

    async def _give(self, fed: Fed, database: DatabaseProxy) -> None:
        leases, lease = database.get_container_client(fed.leases), f"{fed.prefix}local.{fed.container}"
        feed = ChangeFeed(database.get_container_client(fed.container), fed.at_most, await _noted(leases, lease))
        while True:
            if documents := await feed.batch():
                await self._run(fed, documents)
                await leases.upsert_item({"id": lease, "continuation": feed.continuation}, no_response=True)
            else:
                await asyncio.sleep(fed.delay.total_seconds())

    async def _run(self, fed: Fed, documents: Sequence[dict[str, Any]]) -> None:
        """Call the function until it succeeds."""
        pause = fed.retried_after.total_seconds()
        while True:
            given = CosmosDBTriggerConverter.decode(Datum(json.dumps(documents), "json"), trigger_metadata=None)
            try:
                await self._invoker.call(fed.function, given)
            except Exception:
                logger.exception("function %s failed; it is given the batch again", fed.function.name)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


async def _noted(leases: ContainerProxy, lease: str) -> str | None:
    try:
        return (await leases.read_item(lease, lease))["continuation"]
    except CosmosResourceNotFoundError:
        return None
