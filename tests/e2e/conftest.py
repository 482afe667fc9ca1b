"""What the journeys are made on: the app that TURNLOG_E2E_URL names, else a local host and, where it is, `func`."""

import shutil
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.e2e.hosts import core_tools
from tests.e2e.service import SLOW_MODEL, Service, deployed, service_at
from tests.http.conftest import store_environment
from tests.http.driving import running_host

__all__ = ["address", "service", "store_environment"]

pytest.register_assert_rewrite("tests.e2e.of_projects", "tests.e2e.of_sessions", "tests.e2e.of_turns")

# What CI lacks as well: the package's installer takes the program from elsewhere than a registry.
_NO_CORE_TOOLS = "func is not on the PATH: install Azure Functions Core Tools"


@pytest.fixture(scope="session", params=["deployed"] if deployed() else ["local", "func"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, str]]:
    """URL and token of what serves."""
    match request.param, deployed():
        case "deployed", (url, token):
            yield url, token
        case "func", _:
            if shutil.which("func") is None:
                pytest.skip(_NO_CORE_TOOLS)
            with core_tools(tmp_path_factory.mktemp("func")) as url:
                yield url, ""
        case _:
            data_dir: Path = tmp_path_factory.mktemp("local")
            with running_host(data_dir, request.getfixturevalue("store_environment")) as host:
                yield host.url, ""


@pytest.fixture
async def service(address: tuple[str, str]) -> AsyncGenerator[Service]:
    url, token = address
    async with service_at(url, token, "" if deployed() else SLOW_MODEL) as service:
        yield service
