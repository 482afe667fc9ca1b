"""The suite's fixtures: every test runs on every store."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.contract.stores import Database, SqliteDatabase, cosmos_database, cosmos_endpoint
from turnlog.ports import RoomFeed, SessionLog
from turnlog.stores import Stores


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
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    async with AsyncExitStack() as resources:
        if request.param == "sqlite":
            database = SqliteDatabase(tmp_path / "sessions.db")
        else:
            database = await resources.enter_async_context(cosmos_database(request.getfixturevalue("endpoint")))
        for marker in request.node.iter_markers("needs"):
            if reason := database.gaps.get(marker.args[0]):
                pytest.skip(reason)
        yield database


@pytest.fixture
async def stores(database: Database) -> AsyncGenerator[Stores]:
    opened = database.open()
    yield opened
    await opened.log.close()


@pytest.fixture
def log(stores: Stores) -> SessionLog:
    return stores.log


@pytest.fixture
async def other_stores(database: Database) -> AsyncGenerator[Stores]:
    """Other stores on the same data, like those of another process."""
    opened = database.open()
    yield opened
    await opened.log.close()


@pytest.fixture
def elsewhere(other_stores: Stores) -> SessionLog:
    """The log as another process has it."""
    return other_stores.log


@pytest.fixture
async def feed(database: Database, stores: Stores) -> AsyncGenerator[RoomFeed]:
    """The rooms of the same data, which hold all that was appended whenever they are read."""
    async with database.rooms(stores) as rooms:
        yield rooms


@pytest.fixture
async def time_limit() -> AsyncGenerator[None]:
    """Cancels a test whose reader is not woken, instead of waiting for the reader's timeout."""
    task = asyncio.current_task()
    assert task is not None
    end = asyncio.get_running_loop().call_later(60, task.cancel)
    yield
    end.cancel()
