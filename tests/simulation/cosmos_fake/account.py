"""An account in memory: the product's own Cosmos DB stores open it through a fake of the SDK's client."""

from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from random import Random
from unittest import mock
from urllib.parse import urlsplit

from tests.simulation.clock import EPOCH, VirtualLoop
from tests.simulation.cosmos_fake.container import FakeContainer
from tests.simulation.cosmos_fake.items import Items
from tests.simulation.processes import Process
from turnlog.stores import Stores, cosmos
from turnlog.stores.cosmos import database
from turnlog.stores.cosmos.containers import PROVISIONED, SESSIONS
from turnlog.stores.cosmos.items import STATE_ID


class CosmosAccount:
    """The containers as `infra/` provisions them, and the processes that have opened them."""

    def __init__(self, loop: VirtualLoop, rng: Random) -> None:
        self._rng = rng
        self._processes: dict[str, Process] = {}
        begin = EPOCH.timestamp()
        self.items = {
            each.name: Items(
                each.partition_key.removeprefix("/"),
                lambda: begin + loop.time(),
                None if each.default_ttl < 0 else each.default_ttl,
            )
            for each in PROVISIONED
        }

    def open(self, process: Process) -> Stores:
        """The product's stores, as `process` opens them. Their clients are opened while `clients` is active."""
        self._processes[process.name.lower()] = process
        return cosmos.open_stores(f"https://{process.name}.invalid", "turnlog")

    @contextmanager
    def clients(self) -> Generator[None]:
        """Let the stores open clients of this account."""

        async def open_client(
            endpoint: str, consistency: database.Consistency, resources: AsyncExitStack
        ) -> "_FakeClient":
            name = str(urlsplit(endpoint).hostname).removesuffix(".invalid")
            return _FakeClient(self, self._processes[name], consistency == "Eventual")

        with mock.patch.object(database, "open_client", open_client):
            yield

    def container(self, name: str, process: Process, *, is_weak: bool) -> FakeContainer:
        return FakeContainer(self.items[name], process, self._rng, is_weak=is_weak)

    def rewrite(self, session_id: str, change: Callable[[str], str]) -> None:
        """Replace every stored JSON text of a session by what `change` makes of it."""
        for item in self.items[SESSIONS].scan(session_id):
            for name in item.keys() & {"events", "body"}:
                item[name] = change(item[name])

    def stored_states(self, session_id: str) -> list[str]:
        """The stored state of a session, as JSON."""
        return [item["body"] for item in self.items[SESSIONS].scan(session_id) if item["id"] == STATE_ID]

    def close(self) -> None:
        self._processes.clear()


class _FakeClient:
    """Has the methods of `azure.cosmos.aio.CosmosClient` by which the stores get their containers."""

    def __init__(self, account: CosmosAccount, process: Process, is_weak: bool) -> None:
        self._account = account
        self._process = process
        self._is_weak = is_weak

    def get_database_client(self, name: str) -> "_FakeClient":
        return self

    def get_container_client(self, name: str) -> FakeContainer:
        return self._account.container(name, self._process, is_weak=self._is_weak)
