"""Functions are given the changes of a Cosmos DB container: each until it succeeds, by whichever host is there."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import pytest
from hosted import App, hosted

from local.errors import RefusedError
from local.host.index import index_app
from shared.stores.cosmos.containers import LEASES, SESSIONS
from shared.stores.cosmos.database import Database
from tests.contract.stores import CosmosStore, cosmos_endpoint, cosmos_store

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
        async with cosmos_store(endpoint) as store:
            assert isinstance(store, CosmosStore)
            monkeypatch.setenv("ACCOUNT__accountEndpoint", endpoint)
            database = Database(endpoint, store.database)
            yield Account(store.database, database)
            await database.close()


class Follower:
    """An app with a function that follows the container, and fails the first times."""

    def __init__(self, account: Account, failures: int = 0, **options: Any) -> None:
        self.app = App()
        self.given: list[list[str]] = []
        self._failures = failures
        self._came = asyncio.Event()
        self.app.register_functions(following(self.follow, database_name=account.name, **options))

    async def follow(self, documents: func.DocumentList) -> None:
        batch: list[Any] = list(documents)
        self.given.append([document["id"] for document in batch])
        self._came.set()
        if self._failures:
            self._failures -= 1
            raise ValueError("not yet")

    async def until(self, *names: str) -> None:
        async with asyncio.timeout(20):
            while not self.given or set(names) - {name for batch in self.given for name in batch}:
                self._came.clear()
                await self._came.wait()


def following(call: Callable[..., Any], *, retried: bool = True, **options: Any) -> func.Blueprint:
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
    if retried:
        bp.retry(strategy="fixed_delay", max_retry_count="-1", delay_interval="00:00:00")(builder)
    return bp


async def test_a_function_is_given_what_was_there_and_what_comes(tmp_path: Path, account: Account) -> None:
    follower = Follower(account)
    await account.put("a", "b", "c")
    async with hosted(follower.app, tmp_path):
        await follower.until("a", "b", "c")
        await account.put("d", "a", "e")
        await follower.until("e")

    assert follower.given[:2] == [["a", "b"], ["c"]]
    assert [name for batch in follower.given[2:] for name in batch] == ["d", "a", "e"]


async def test_a_batch_that_fails_is_given_until_it_succeeds(tmp_path: Path, account: Account) -> None:
    follower = Follower(account, failures=3)
    await account.put("a", "b", "c")
    async with hosted(follower.app, tmp_path):
        await follower.until("c")

    assert follower.given == [*[["a", "b"]] * 4, ["c"]]


async def test_another_host_goes_on_where_one_ended(tmp_path: Path, account: Account) -> None:
    first, second = Follower(account), Follower(account)
    await account.put("a")
    async with hosted(first.app, tmp_path):
        await first.until("a")
        await account.put("b")
        await first.until("b")
    await account.put("c")
    async with hosted(second.app, tmp_path):
        await second.until("c")

    # The last batch may have ended with its host, before that noted it.
    assert second.given in ([["c"]], [["b", "c"]])


async def test_functions_with_another_prefix_are_each_given_everything(tmp_path: Path, account: Account) -> None:
    first, second = Follower(account, lease_container_prefix="first"), Follower(account)
    await account.put("a", "b")
    async with hosted(first.app, tmp_path):
        await first.until("b")
    async with hosted(second.app, tmp_path):
        await second.until("b")

    assert first.given == second.given == [["a", "b"]]


def _app(**options: Any) -> df.DFApp:
    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    app.register_functions(following(print, **options))
    return app


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"retried": False}, "function follow: without a retry policy that never ends changes are lost"),
        ({"start_from_beginning": None}, r"local host gives changes from the beginning only \(function follow\)"),
    ],
)
def test_what_would_lose_changes_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        index_app(_app(**options), "")


async def test_a_connection_without_its_setting_is_refused(tmp_path: Path) -> None:
    app = App()
    app.register_functions(following(print))

    with pytest.raises(RefusedError, match="function follow: ACCOUNT__accountEndpoint is not set"):
        async with hosted(app, tmp_path):
            pass
