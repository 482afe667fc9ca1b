"""The suite's fixtures: every test runs on every store."""

from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shared.ports import SessionLog
from tests.contract.stores import SqliteStore, Store, cosmos_endpoint, cosmos_store


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(what): what a store must be able to show; see `gaps` in stores.py")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def endpoint() -> Generator[str]:
    with cosmos_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(params=["sqlite", "cosmos"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Store]:
    async with AsyncExitStack() as resources:
        if request.param == "sqlite":
            store = SqliteStore(tmp_path / "sessions.db")
        else:
            store = await resources.enter_async_context(cosmos_store(request.getfixturevalue("endpoint")))
        for marker in request.node.iter_markers("needs"):
            if reason := store.gaps.get(marker.args[0]):
                pytest.skip(reason)
        yield store


@pytest.fixture
async def log(store: Store) -> AsyncGenerator[SessionLog]:
    opened = store.open()
    yield opened
    await opened.close()


@pytest.fixture
async def elsewhere(store: Store) -> AsyncGenerator[SessionLog]:
    """Another log on the same data, as another process has."""
    opened = store.open()
    yield opened
    await opened.close()
