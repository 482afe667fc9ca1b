"""The suite's fixtures, and helpers whose assertions tell what they compared."""

import os
import secrets
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("tests.faults.talking", "tests.faults.reading", "tests.faults.promises")

if TYPE_CHECKING:
    from tests.faults.talking import Client


@pytest.fixture(scope="session")
def model_url() -> Generator[str]:
    from tests.faults.crashing import model_server

    with model_server() as url:
        yield url


@pytest.fixture
def seed() -> int:
    """Another one each time; FAULT_SEED takes up one that failed."""
    seed = int(os.environ.get("FAULT_SEED", secrets.randbits(32)))
    print(f"FAULT_SEED={seed}")  # noqa: T201  # pytest shows it with a failure
    return seed


@pytest.fixture
async def client(tmp_path: Path, model_url: str, seed: int) -> AsyncGenerator["Client"]:
    """A client of a host of the test's own."""
    from tests.faults.crashing import MortalHost, mortal_host
    from tests.faults.talking import client_of

    async with mortal_host(MortalHost(tmp_path, model_url)) as host, client_of(host, seed) as client:
        yield client
