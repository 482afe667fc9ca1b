"""Functions get the changes of a Cosmos DB container, each batch until the function succeeds."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from tests.contract.stores import CosmosDatabase, cosmos_database, cosmos_endpoint
from tests.local.local_host import App, running_host
from turnlog.local.errors import RefusedError
from turnlog.stores.cosmos.containers import LEASES, SESSIONS
from turnlog.stores.cosmos.database import Database

pytestmark = pytest.mark.anyio


class Account:
    """A Cosmos DB database with a container `sessions`."""

    def __init__(self, name: str, database: Database) -> None:
        self.name = name
        self._database = database

    async def put(self, *names: str) -> None:
        container = await self._database.sessions()
        for name in names:
            await container.upsert_item({"id": name, "session_id": "one"})


@pytest.fixture
async def account(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Account]:
    with cosmos_endpoint() as endpoint:
        async with cosmos_database(endpoint) as store:
            assert isinstance(store, CosmosDatabase)
            monkeypatch.setenv("ACCOUNT__accountEndpoint", endpoint)
            database = Database(endpoint, store.name)
            yield Account(store.name, database)
            await database.close()


class Follower:
    """An app with a function that follows the container and fails the first `failures` times."""

    def __init__(self, account: Account, failures: int = 0, **options: Any) -> None:
        self.app = App()
        self.batches: list[list[str]] = []
        self._failures = failures
        self._has_batch = asyncio.Event()
        self.app.register_functions(feed_blueprint(self.follow, database_name=account.name, **options))

    async def follow(self, documents: func.DocumentList) -> None:
        batch: list[Any] = list(documents)
        self.batches.append([document["id"] for document in batch])
        self._has_batch.set()
        if self._failures:
            self._failures -= 1
            raise ValueError("not yet")

    async def wait_for(self, *names: str) -> None:
        async with asyncio.timeout(60):
            while set(names) - {name for batch in self.batches for name in batch}:
                self._has_batch.clear()
                await self._has_batch.wait()


def feed_blueprint(call: Callable[[func.DocumentList], Awaitable[None]], **options: Any) -> func.Blueprint:
    async def follow(documents: func.DocumentList) -> None:
        await call(documents)

    bp = func.Blueprint()
    trigger: dict[str, Any] = {
        "arg_name": "documents",
        "connection": "ACCOUNT",
        "database_name": "turnlog",
        "container_name": SESSIONS,
        "lease_container_name": LEASES,
        "feed_poll_delay": 20,
        "max_items_per_invocation": 2,
        "start_from_beginning": True,
    }
    builder = bp.cosmos_db_trigger(**trigger | options)(follow)
    bp.retry(
        strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:00", maximum_interval="00:00:01"
    )(builder)
    return bp


async def test_a_function_gets_the_documents_that_exist_and_each_later_change(tmp_path: Path, account: Account) -> None:
    follower = Follower(account)
    await account.put("a", "b", "c")
    async with running_host(follower.app, tmp_path):
        await follower.wait_for("a", "b", "c")
        await account.put("d", "a", "e")
        await follower.wait_for("e")

    assert follower.batches[:2] == [["a", "b"], ["c"]]
    assert [name for batch in follower.batches[2:] for name in batch] == ["d", "a", "e"]


async def test_a_function_gets_a_batch_again_until_it_succeeds(tmp_path: Path, account: Account) -> None:
    follower = Follower(account, failures=3)
    await account.put("a", "b", "c")
    async with running_host(follower.app, tmp_path):
        await follower.wait_for("c")

    assert follower.batches == [*[["a", "b"]] * 4, ["c"]]


async def test_the_next_host_continues_where_one_stopped(tmp_path: Path, account: Account) -> None:
    first, second = Follower(account), Follower(account)
    await account.put("a")
    async with running_host(first.app, tmp_path):
        await first.wait_for("a")
        await account.put("b")
        await first.wait_for("b")
    await account.put("c")
    async with running_host(second.app, tmp_path):
        await second.wait_for("c")

    # The first host may have stopped after the last batch, before it wrote its lease.
    assert second.batches in ([["c"]], [["b", "c"]])


async def test_functions_with_different_prefixes_each_get_everything(tmp_path: Path, account: Account) -> None:
    first, second = Follower(account, lease_container_prefix="first"), Follower(account)
    await account.put("a", "b")
    async with running_host(first.app, tmp_path):
        await first.wait_for("b")
    async with running_host(second.app, tmp_path):
        await second.wait_for("b")

    assert first.batches == second.batches == [["a", "b"]]


async def test_a_connection_without_its_setting_is_refused(tmp_path: Path) -> None:
    async def ignore(documents: func.DocumentList) -> None: ...

    app = App()
    app.register_functions(feed_blueprint(ignore))

    with pytest.raises(RefusedError, match="function follow: ACCOUNT__accountEndpoint is not set"):
        async with running_host(app, tmp_path):
            pass
