"""The databases that the suite runs on. A new store is added here: how it is opened, and what it can't show."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest
from azure.cosmos import PartitionKey

from tests.contract.change_feed import up_to_date_rooms
from turnlog.ports import RoomFeed
from turnlog.stores import Stores, cosmos, sqlite
from turnlog.stores.cosmos.containers import PARTITION_KEY_VERSION, PROVISIONED, SESSIONS
from turnlog.stores.cosmos.database import open_client
from turnlog.stores.cosmos.items import STATE_ID

SERVER = Path(__file__).parent.parent / "cosmos_server"

SQLITE_GAPS = {
    "polling": "a SQLite file serves one process: what another appends is read, but wakes no reader",
}
COSMOS_GAPS = {
    "a settable clock": "Cosmos DB decides by its own clock whether a time to live is over",
    "a tombstone that refuses writers": "Cosmos DB can't let a write depend on another document: the sweep clears a log"
    " only when no suspended writer is left",
}
WIRE_SERVER_GAPS = COSMOS_GAPS | {
    "expiry": "the npm server keeps documents after their time to live",
}


class Database(Protocol):
    """Data on which stores can be opened any number of times, as by several processes."""

    @property
    def gaps(self) -> Mapping[str, str]:
        """What this store can't show, and why. Tests name it with `needs`."""
        ...

    def open(self) -> Stores:
        """The stores on this data. The caller closes their log."""
        ...

    def rooms(self, stores: Stores) -> AbstractAsyncContextManager[RoomFeed]:
        """The rooms of this data, which hold all that was appended whenever they are read."""
        ...

    async def replace_state(self, session_id: str, changes: Mapping[str, Any]) -> None:
        """Change the stored state as another release could, without the store's code."""
        ...


@dataclass(frozen=True)
class SqliteDatabase:
    path: Path
    gaps: Mapping[str, str] = field(default_factory=lambda: SQLITE_GAPS)

    def open(self) -> Stores:
        return sqlite.open_stores(self.path)

    @asynccontextmanager
    async def rooms(self, stores: Stores) -> AsyncGenerator[RoomFeed]:
        yield stores.rooms

    async def replace_state(self, session_id: str, changes: Mapping[str, Any]) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            query = "UPDATE states SET body = json_patch(body, ?) WHERE session_id = ?"
            connection.execute(query, (json.dumps(changes), session_id))


@dataclass(frozen=True)
class CosmosDatabase:
    endpoint: str
    name: str
    gaps: Mapping[str, str]

    def open(self) -> Stores:
        return cosmos.open_stores(self.endpoint, self.name)

    @asynccontextmanager
    async def rooms(self, stores: Stores) -> AsyncGenerator[RoomFeed]:
        async with up_to_date_rooms(self.endpoint, self.name) as rooms:
            yield rooms

    async def replace_state(self, session_id: str, changes: Mapping[str, Any]) -> None:
        async with AsyncExitStack() as resources:
            client = await open_client(self.endpoint, "Strong", resources)
            container = client.get_database_client(self.name).get_container_client(SESSIONS)
            item = await container.read_item(STATE_ID, session_id)
            body = json.dumps({**json.loads(item["body"]), **changes})
            await container.upsert_item({**item, "body": body})


@asynccontextmanager
async def cosmos_database(endpoint: str) -> AsyncGenerator[Database]:
    """An empty, provisioned database at `endpoint`: a new one, or the one that `COSMOS_TEST_DATABASE` names."""
    gaps = COSMOS_GAPS if endpoint == os.environ.get("COSMOS_TEST_ENDPOINT") else WIRE_SERVER_GAPS
    if database := os.environ.get("COSMOS_TEST_DATABASE"):
        yield CosmosDatabase(endpoint, database, gaps)
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
        yield CosmosDatabase(endpoint, database, gaps)
        await client.delete_database(database)


@contextmanager
def cosmos_endpoint(*options: str) -> Generator[str]:
    """`COSMOS_TEST_ENDPOINT`, or the server of these tests that speaks Cosmos DB's protocol."""
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
        _fail_or_skip("no Cosmos DB server: install node 20 or later and run `npm ci` in tests/cosmos_server")
    with subprocess.Popen(
        [str(node), "server.js", *options], cwd=SERVER, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"https://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def _fail_or_skip(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
