"""The fixtures of this suite: one host for all tests, and one client for each."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.http.api_client import Api, Host, api_client, running_host

QUEUE_LIMIT = 20


@contextmanager
def _sqlite() -> Generator[dict[str, str]]:
    yield {}


@contextmanager
def _cosmos() -> Generator[dict[str, str]]:
    from tests.contract.stores import CosmosDatabase, cosmos_database, cosmos_endpoint  # its SDK is slow to import

    with asyncio.Runner() as runner, cosmos_endpoint() as endpoint:
        database = cosmos_database(endpoint)
        store = runner.run(database.__aenter__())
        assert isinstance(store, CosmosDatabase)
        try:
            yield {"COSMOS_ENDPOINT": store.endpoint, "COSMOS_DATABASE": store.name, "DELTA_FLUSH_MS": "15"}
        finally:
            runner.run(database.__aexit__(None, None, None))


# The settings that each store needs. Its server runs while the context is open.
_STORES: dict[str, Callable[[], AbstractContextManager[dict[str, str]]]] = {"sqlite": _sqlite, "cosmos": _cosmos}


@pytest.fixture(scope="session")
def store_environment() -> Generator[dict[str, str]]:
    """The settings of the store that `TURNLOG_TEST_STORE` names."""
    with _STORES[os.environ.get("TURNLOG_TEST_STORE", "sqlite")]() as environment:
        yield environment


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory, store_environment: dict[str, str]) -> Generator[Host]:
    data_dir: Path = tmp_path_factory.mktemp("host")
    with running_host(data_dir, {"QUEUE_LIMIT": str(QUEUE_LIMIT), **store_environment}) as host:
        yield host


@pytest.fixture
async def api(host: Host) -> AsyncGenerator[Api]:
    """A client of the host. The model server counts this test's requests only."""
    async with api_client(host) as api:
        await api.model.post("/stats/reset")
        yield api
