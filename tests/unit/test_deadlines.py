"""Every deadline lies below the one around it, by default and whatever is set."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from shared import deadlines
from shared.api.edge.parameters import MAX_WAIT_SECONDS
from shared.api.edge.sse import HEARTBEAT
from shared.settings import CLOUD, ONE_MACHINE, Settings, SettingsError, Timings, settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def read(environment: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        environment.setenv(name, value)
    settings.cache_clear()
    try:
        return settings()
    finally:
        settings.cache_clear()


def test_calls_end_before_their_turn_and_turns_before_the_function(environment: pytest.MonkeyPatch) -> None:
    turn = timedelta(seconds=read(environment).turn_timeout_seconds)

    assert max(deadlines.MODEL_CALL, deadlines.TOOL_CALL) < turn <= deadlines.LONGEST
    # An activity that begins when its turn is over has a call's time at most, and time to write what became of it.
    assert deadlines.MODEL_CALL + deadlines.MARGIN < deadlines.FUNCTION


@pytest.mark.parametrize("timings", [CLOUD, ONE_MACHINE])
def test_the_orchestrator_gives_up_a_late_turn_before_the_function_would(timings: Timings) -> None:
    assert timings.look_after < deadlines.MARGIN


def test_a_silent_request_ends_before_the_network_drops_it(environment: pytest.MonkeyPatch) -> None:
    wait = timedelta(seconds=read(environment).message_wait_seconds)

    assert wait <= timedelta(seconds=MAX_WAIT_SECONDS) < deadlines.NETWORK_IDLE
    assert HEARTBEAT * 2 < deadlines.NETWORK_IDLE


def test_a_stream_ends_before_its_function(environment: pytest.MonkeyPatch) -> None:
    assert timedelta(seconds=read(environment).stream_max_seconds) <= deadlines.LONGEST < deadlines.FUNCTION


def test_deleted_sessions_outlast_every_function() -> None:
    assert CLOUD.clear_after > deadlines.FUNCTION


@pytest.mark.parametrize("file", ["host.json", "infra/host.azureManaged.json"])
def test_the_function_times_out_as_host_json_says(file: str) -> None:
    said = json.loads((ROOT / file).read_text(encoding="utf-8"))["functionTimeout"]
    hours, minutes, seconds = map(int, said.split(":"))

    assert timedelta(hours=hours, minutes=minutes, seconds=seconds) == deadlines.FUNCTION


@pytest.mark.parametrize(
    ("name", "most"), [("TURN_TIMEOUT_SECONDS", 1500), ("STREAM_MAX_SECONDS", 1500), ("MESSAGE_WAIT_SECONDS", 200)]
)
def test_a_setting_that_outlasts_what_is_around_it_is_refused(
    environment: pytest.MonkeyPatch, name: str, most: int
) -> None:
    assert getattr(read(environment, **{name: str(most)}), name.lower()) == most

    with pytest.raises(SettingsError, match=f"{name} must be {most} at most, not {most + 1}"):
        read(environment, **{name: str(most + 1)})
