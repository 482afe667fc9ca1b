"""The function that sends to SignalR is indexed if a service is set up, and its messages reach the host."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.stores import CosmosDatabase, cosmos_database, cosmos_endpoint
from tests.worker.host.driver import Worker

pytestmark = pytest.mark.anyio

_ROOT = Path(__file__).parents[2]


async def test_without_signalr_there_is_no_function_for_it(worker: Worker) -> None:
    assert "send_to_signalr" not in worker.functions


async def test_with_signalr_it_has_its_own_leases_and_passes_messages_to_the_host(settings: None) -> None:
    with cosmos_endpoint() as endpoint:
        async with cosmos_database(endpoint) as store:
            assert isinstance(store, CosmosDatabase)
            cosmos = {"COSMOS_ENDPOINT": store.endpoint, "COSMOS_DATABASE": store.name}
            env = {**os.environ, **cosmos, "SIGNALR_ENDPOINT": "http://127.0.0.1:1", "SIGNALR_HUB": "watchers"}
            command = [sys.executable, "-m", "tests.worker.signalr_app"]
            run = await asyncio.to_thread(
                subprocess.run, command, cwd=_ROOT, env=env, check=False, capture_output=True, text=True
            )

    assert run.returncode == 0, run.stdout + run.stderr
    printed = json.loads(run.stdout.splitlines()[-1])
    output, feed = sorted(printed["bindings"], key=lambda each: each["direction"], reverse=True)
    assert output == {
        "direction": "OUT",
        "type": "signalR",
        "name": "messages",
        "hubName": "watchers",
        "connectionStringSetting": "SIGNALR",
    }
    assert (feed["type"], feed["containerName"], feed["leaseContainerName"]) == (
        "cosmosDBTrigger",
        "sessions",
        "leases",
    )
    assert (feed["connection"], feed["databaseName"]) == ("COSMOS", cosmos["COSMOS_DATABASE"])
    assert feed["leaseContainerPrefix"] == "signalr"
    (message,) = json.loads(printed["outputs"]["messages"]["string"])
    assert message["target"] == "frames"
    assert re.fullmatch(r"session:[0-9A-Z]{26}~demo", message["groupName"])
    assert [json.loads(frame["data"])["type"] for frame in message["arguments"][0]] == ["session_created", "event"]
    assert printed["outputs_without_chunks"] == {}
