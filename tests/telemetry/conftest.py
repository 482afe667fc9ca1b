"""Fixtures: a host that prints its telemetry, and a client of it."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.http.api_client import Api, Host, api_client, running_host
from tests.telemetry.console_telemetry import CONSOLE_TELEMETRY


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the output of the host."""
    return tmp_path_factory.mktemp("telemetry") / "host.log"


@pytest.fixture(scope="session")
def host(log: Path) -> Generator[Host]:
    with running_host(log.parent, {**CONSOLE_TELEMETRY, "LOG_LEVEL": "INFO"}) as host:
        yield host


@pytest.fixture
async def api(host: Host) -> AsyncGenerator[Api]:
    async with api_client(host) as api:
        yield api
