"""What the tests of the client share: a real server for those that kill none."""

from collections.abc import Iterator

import pytest
from client_server import Server


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with Server.started(MODEL="fake-12-0") as running:
        yield running
