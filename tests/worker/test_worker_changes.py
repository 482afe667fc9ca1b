"""The worker indexes the functions of the change feed if there is one, in its own process: it indexes only once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.infra.facts.azure_facts import PLATFORM_SETTINGS
from tests.worker.host.driver import Worker

_NAMES = {"write_rooms"}


@pytest.fixture(scope="module")
def indexed(settings: None) -> dict[str, dict[str, Any]]:
    environment = {**os.environ, "COSMOS_ENDPOINT": "https://127.0.0.1:1/", "COSMOS_DATABASE": "elsewhere"}
    script = Path(__file__).parent / "indexing.py"
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.anyio
async def test_without_cosmos_db_nothing_follows_a_change_feed(worker: Worker) -> None:
    assert not _NAMES & set(worker.functions)


def test_every_function_reads_the_feed_with_its_own_leases(indexed: dict[str, dict[str, Any]]) -> None:
    read = {name: (each["databaseName"], each["containerName"]) for name, each in indexed.items()}

    assert read == dict.fromkeys(_NAMES, ("elsewhere", "sessions"))
    assert len({each["leaseContainerPrefix"] for each in indexed.values()}) == len(indexed)


def test_a_batch_that_fails_is_delivered_again_without_end(
    indexed: dict[str, dict[str, Any]],
) -> None:
    for each in indexed.values():
        assert (each["retries"], each["startFromBeginning"]) == (["exponential_backoff", -1], True)
        assert each["feedPollDelay"] < 1000


def test_the_settings_of_the_connection_are_known(indexed: dict[str, dict[str, Any]]) -> None:
    for each in indexed.values():
        for name in ("accountEndpoint", "credential", "clientId"):
            assert f"{each['connection']}__{name}" in PLATFORM_SETTINGS
