"""The services that the journeys call: the app at TURNLOG_E2E_URL, else a local host and, if installed, `func`."""

import shutil
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.e2e.hosts import core_tools
from tests.e2e.service import SLOW_MODEL, Service, deployed_app, service_at
from tests.http.api_client import running_host
from tests.http.conftest import store_environment

__all__ = ["address", "service", "store_environment"]

pytest.register_assert_rewrite("tests.e2e.project_journeys", "tests.e2e.session_journeys", "tests.e2e.turn_journeys")

# CI does not have it either: the npm package downloads the program from a server outside the registry.
_NO_CORE_TOOLS = "func is not on the PATH: install Azure Functions Core Tools"


@pytest.fixture(scope="session", params=["deployed"] if deployed_app() else ["local", "func"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, str]]:
    """URL and token of the service."""
    match request.param, deployed_app():
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
    async with service_at(url, token, "" if deployed_app() else SLOW_MODEL) as service:
        yield service
