"""The suite's fixtures. The assertions of its helpers show what they compared."""

import os
import secrets
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("tests.faults.api_client", "tests.faults.readers", "tests.faults.invariants")

if TYPE_CHECKING:
    from tests.faults.api_client import Client


@pytest.fixture(scope="session")
def model_url() -> Generator[str]:
    from tests.faults.host import model_server

    with model_server() as url:
        yield url


@pytest.fixture
def seed() -> int:
    """A new seed each time; FAULT_SEED repeats one that failed."""
    seed = int(os.environ.get("FAULT_SEED", secrets.randbits(32)))
    print(f"FAULT_SEED={seed}")  # noqa: T201  # pytest shows it with a failure
    return seed


@pytest.fixture
async def client(tmp_path: Path, model_url: str, seed: int) -> AsyncGenerator["Client"]:
    """A client of a host that only this test uses."""
    from tests.faults.api_client import client_of
    from tests.faults.host import KillableHost, running_host

    async with running_host(KillableHost(tmp_path, model_url)) as host, client_of(host, seed) as client:
        yield client
