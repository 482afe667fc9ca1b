"""The clients of one Cosmos DB account, which are opened when they are first needed and closed together.

There are two, since a client has one consistency. Decisions read at Strong, the account's default. Readers that wait
for new chunks poll at Eventual, for half the price and without a quorum.
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any, Literal
from urllib.parse import urlsplit

from azure.cosmos.aio import ContainerProxy, CosmosClient

from turnlog.stores.cosmos.containers import CONTAINERS, PROJECTS, ROOMS, SESSIONS
from turnlog.stores.cosmos.items import check_item
from turnlog.stores.cosmos.requests import log_charge, upsert_item, with_retries

Consistency = Literal["Strong", "Eventual"]

# Published with the emulator, so not a secret (learn.microsoft.com/azure/cosmos-db/emulator).
_EMULATOR_KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
_READ_SECONDS: dict[Consistency, int] = {"Strong": 10, "Eventual": 2}

# At INFO, the worker's level, they log every request with all its headers, which would be most of the log.
for _name in ("azure.core", "azure.cosmos", "azure.identity"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Database:
    """One database of an account. It opens its clients on the event loop that first needs one, and closes them."""

    def __init__(self, endpoint: str, name: str) -> None:
        self._endpoint = endpoint
        self._name = name
        self._clients: dict[Consistency, CosmosClient] = {}
        self._containers: dict[tuple[str, Consistency], ContainerProxy] = {}
        self._opening = asyncio.Lock()
        self._resources = AsyncExitStack()

    async def sessions(self, consistency: Consistency = "Strong") -> ContainerProxy:
        """The container of all sessions. A read at Eventual returns only what is true, but it may miss new items."""
        return await self._container(SESSIONS, consistency)

    async def projects(self) -> ContainerProxy:
        """The container of all projects."""
        return await self._container(PROJECTS, "Strong")

    async def rooms(self) -> ContainerProxy:
        """The container of all rooms."""
        return await self._container(ROOMS, "Strong")

    async def check(self) -> None:
        """Return if all containers answer, and the one of the sessions takes a write."""
        containers = [await self._container(name, "Strong") for name in CONTAINERS]
        await asyncio.gather(
            *(with_retries(container.read) for container in containers),
            upsert_item(await self.sessions(), check_item()),
        )

    async def close(self) -> None:
        self._containers.clear()
        self._clients.clear()
        await self._resources.aclose()

    async def _container(self, name: str, consistency: Consistency) -> ContainerProxy:
        if (name, consistency) not in self._containers:
            async with self._opening:
                if (name, consistency) not in self._containers:
                    self._containers[name, consistency] = await self._open(name, consistency)
        return self._containers[name, consistency]

    async def _open(self, name: str, consistency: Consistency) -> ContainerProxy:
        client = await self._client(consistency)
        container = client.get_database_client(self._name).get_container_client(name)
        # Checked here, because later a missing container would look like a missing document.
        await with_retries(container.read)
        return container

    async def _client(self, consistency: Consistency) -> CosmosClient:
        if consistency not in self._clients:
            async with AsyncExitStack() as opening:
                self._clients[consistency] = await open_client(self._endpoint, consistency, opening)
                self._resources.push_async_callback(opening.pop_all().aclose)
        return self._clients[consistency]


async def open_client(endpoint: str, consistency: Consistency, resources: AsyncExitStack) -> CosmosClient:
    """A client of the account at `endpoint`; `resources` closes it and its credential."""
    options: dict[str, Any] = {
        "enable_compact_utf8_item_writes": True,
        "read_timeout": _READ_SECONDS[consistency],
        "raw_response_hook": log_charge,
        # `with_retries` repeats calls: the SDK's own pauses between attempts are a second and more.
        "retry_connect": 0,
        "retry_read": 0,
        "retry_throttle_total": 1,
    }
    if consistency == "Eventual":  # Strong is the account's default, and a client may only weaken it
        options["consistency_level"] = consistency
    if is_loopback(endpoint):
        options |= {"credential": _EMULATOR_KEY, "connection_verify": False, "enable_endpoint_discovery": False}
    else:
        options["credential"] = await _credential(resources)
    client = CosmosClient(endpoint, **options)
    resources.push_async_callback(client.close)
    await with_retries(client.__aenter__)
    return client


def is_loopback(endpoint: str) -> bool:
    """Whether `endpoint` is on this machine: an emulator, with a published key and a self-signed certificate."""
    return urlsplit(endpoint).hostname in {"127.0.0.1", "localhost", "::1"}


async def _credential(resources: AsyncExitStack) -> Any:
    # Imported where it is used, since local runs and tests don't need it.
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

    return await resources.enter_async_context(DefaultAzureCredential())
