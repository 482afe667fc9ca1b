"""The fixtures of the tests of pushed rooms: a host with callers whom a platform has identified."""

from collections.abc import Generator

import pytest

from tests.http.api_client import Host, running_host
from tests.http.push.sockets import MAX_STREAMS


@pytest.fixture(scope="module")
def owners_host(tmp_path_factory: pytest.TempPathFactory, store_environment: dict[str, str]) -> Generator[Host]:
    """A host for several owners. Each may have few open streams."""
    settings = {
        "AUTH_MODE": "easyauth",
        "WEBSITE_AUTH_ENABLED": "True",
        "MAX_STREAMS": str(MAX_STREAMS),
        "CORS_ORIGINS": "https://pages.example",
    }
    with running_host(tmp_path_factory.mktemp("owners"), {**store_environment, **settings}) as host:
        yield host
