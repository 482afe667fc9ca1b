"""The triggers of the change feed, as azure-functions binds them when it indexes the whole app."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
# Runs in its own process: an app can be indexed only once, and it reads its settings at import.
INDEX = """
import json
from function_app import app
found = {
    each.get_function_name(): {
        **each.get_trigger().get_dict_repr(),
        "retries": each.get_settings_dict("retry_policy"),
    }
    for each in app.get_functions()
    if each.get_trigger().type == "cosmosDBTrigger"
}
print(json.dumps(found, default=str))
"""
FUNCTIONS = ("write_rooms", "send_to_signalr", "send_to_socketio", "send_to_websockets")
SETTINGS = {
    "COSMOS_ENDPOINT": "https://127.0.0.1:1/",
    "COSMOS_DATABASE": "elsewhere",
    "SIGNALR_ENDPOINT": "http://127.0.0.1:1",
    "SOCKETIO_ENDPOINT": "http://127.0.0.1:1",
    "SOCKETIO_ACCESS_KEYS": "key",
    "WEBSOCKET_ENDPOINT": "http://127.0.0.1:1",
    "OPENAI_BASE_URL": "http://127.0.0.1:1",
    "OPENAI_API_KEY": "none",
    "MODEL": "fake",
}


@pytest.fixture(scope="module")
def triggers() -> dict[str, dict[str, Any]]:
    """The trigger and the retry policy of each change-feed function, by name."""
    command, env = [sys.executable, "-c", INDEX], {**os.environ, **SETTINGS}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_another_instance_takes_over_leases_within_twenty_seconds(triggers: dict[str, dict[str, Any]]) -> None:
    names = ("leaseExpirationInterval", "leaseAcquireInterval", "leaseRenewInterval")
    intervals = {name: tuple(trigger.get(each) for each in names) for name, trigger in triggers.items()}

    assert intervals == dict.fromkeys(FUNCTIONS, (15_000, 5_000, 5_000))


def test_all_functions_follow_the_same_feed_with_the_same_settings(triggers: dict[str, dict[str, Any]]) -> None:
    own = {"leaseContainerPrefix", "maxItemsPerInvocation", "startFromBeginning"}
    rooms, *others = (
        {name: value for name, value in triggers[function].items() if name not in own} for function in FUNCTIONS
    )

    assert others == [rooms] * 3
    assert (rooms["connection"], rooms["databaseName"], rooms["containerName"]) == ("COSMOS", "elsewhere", "sessions")
    assert (rooms["leaseContainerName"], rooms["feedPollDelay"]) == ("leases", 500)
    assert (rooms["retries"]["strategy"], rooms["retries"]["max_retry_count"]) == ("exponential_backoff", "-1")


def test_each_function_has_its_own_leases(triggers: dict[str, dict[str, Any]]) -> None:
    prefixes = {name: trigger["leaseContainerPrefix"] for name, trigger in triggers.items()}

    assert prefixes == dict(zip(FUNCTIONS, ("rooms", "signalr", "socketio", "websocket"), strict=True))


def test_rooms_start_at_the_beginning_of_the_feed_and_pushes_start_now(triggers: dict[str, dict[str, Any]]) -> None:
    starts = {name: bool(trigger.get("startFromBeginning")) for name, trigger in triggers.items()}

    assert starts == {name: name == "write_rooms" for name in FUNCTIONS}
