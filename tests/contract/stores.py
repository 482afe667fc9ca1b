"""The stores that the suite runs against. A new one plugs in here: how to open it, and what it can't show."""

import os
import shutil
import subprocess
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest
from azure.cosmos import PartitionKey

from shared.ports import ProjectStore, RoomFeed, SessionLog
from shared.stores.cosmos.containers import PARTITION_KEY_VERSION, PROVISIONED
from shared.stores.cosmos.database import open_client
from shared.stores.cosmos.opening import open_stores as open_cosmos
from shared.stores.sqlite.log import SqliteSessionLog
from shared.stores.sqlite.opening import open_stores as open_sqlite
from tests.contract.feeding import telling

SERVER = Path(__file__).parent.parent / "cosmos_server"

SQLITE_GAPS = {
    "hearing others": "a SQLite file serves one process: what another appends is read, but wakes nobody",
}
COSMOS_GAPS = {
    "a clock to be set": "Cosmos DB tells by its own when a time to live is over",
    "cleared places": "Cosmos DB can't refuse a writer by another document: once the log is cleared, writers that slept"
    " until then are kept out by the age at which the sweep clears",
}
WIRE_SERVER_GAPS = COSMOS_GAPS | {
    "expiry": "the npm server keeps documents whose time to live is over",
}


class Store(Protocol):
    """Data that any number of logs can be opened on, as by several processes."""

    @property
    def gaps(self) -> Mapping[str, str]:
        """What this store can't show, and why; tests name it with `needs`."""
        ...

    def open(self) -> SessionLog:
        """A log on this data; whoever opens it closes it."""
        ...

    def open_all(self) -> tuple[SessionLog, ProjectStore]:
        """A log and the projects beside it; whoever opens them closes the log."""
        ...

    def rooms(self, log: SessionLog) -> AbstractAsyncContextManager[RoomFeed]:
        """The rooms of this data, told meanwhile of what is appended; who reads them is told of all of it."""
        ...


@dataclass(frozen=True)
class SqliteStore:
    path: Path
    gaps: Mapping[str, str] = field(default_factory=lambda: SQLITE_GAPS)

    def open(self) -> SessionLog:
        return self.open_all()[0]

    def open_all(self) -> tuple[SessionLog, ProjectStore]:
        return open_sqlite(self.path)

    @asynccontextmanager
    async def rooms(self, log: SessionLog) -> AsyncGenerator[RoomFeed]:
        assert isinstance(log, SqliteSessionLog)
        yield log.rooms


@dataclass(frozen=True)
class CosmosStore:
    endpoint: str
    database: str
    gaps: Mapping[str, str]

    def open(self) -> SessionLog:
        return self.open_all()[0]

    def open_all(self) -> tuple[SessionLog, ProjectStore]:
        return open_cosmos(self.endpoint, self.database)[:2]

    @asynccontextmanager
    async def rooms(self, log: SessionLog) -> AsyncGenerator[RoomFeed]:
        async with telling(self.endpoint, self.database) as rooms:
            yield rooms


@asynccontextmanager
async def cosmos_store(endpoint: str) -> AsyncGenerator[Store]:
    """A store at `endpoint` in a database of its own, or in `COSMOS_TEST_DATABASE`: provisioned, and empty."""
    gaps = COSMOS_GAPS if endpoint == os.environ.get("COSMOS_TEST_ENDPOINT") else WIRE_SERVER_GAPS
    if database := os.environ.get("COSMOS_TEST_DATABASE"):
        yield CosmosStore(endpoint, database, gaps)
        return
    async with AsyncExitStack() as resources:
        client = await open_client(endpoint, "Strong", resources)
        database = f"test-{uuid4().hex}"
        proxy = await client.create_database(database)
        for container in PROVISIONED:
            await proxy.create_container(
                container.name,
                PartitionKey(path=container.partition_key, version=PARTITION_KEY_VERSION),
                indexing_policy=dict(container.indexing_policy),
                default_ttl=container.default_ttl,
            )
        yield CosmosStore(endpoint, database, gaps)
        await client.delete_database(database)


@contextmanager
def cosmos_endpoint(*options: str) -> Generator[str]:
    """`COSMOS_TEST_ENDPOINT`, or a server of our own that speaks Cosmos DB's protocol."""
    if endpoint := os.environ.get("COSMOS_TEST_ENDPOINT"):
        yield endpoint
        return
    with wire_server(*options) as endpoint:
        yield endpoint


@contextmanager
def wire_server(*options: str) -> Generator[str]:
    """The npm server on a free port of 127.0.0.1, with `options` of `cosmos_server/server.js`."""
    node = shutil.which("node")
    if node is None or not (SERVER / "node_modules").is_dir():
        _do_without("no Cosmos DB server: install node 20 or later and run `npm ci` in tests/cosmos_server")
    with subprocess.Popen(
        [str(node), "server.js", *options], cwd=SERVER, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"https://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def _do_without(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
