"""Every time limit is less than the one around it, by default and with any setting."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from turnlog.api.edge.parameters import MAX_WAIT_SECONDS
from turnlog.api.edge.sse import HEARTBEAT
from turnlog.settings import Settings, SettingsError, settings
from turnlog.timings import (
    CLOUD,
    FUNCTION_TIMEOUT,
    MAX_WORK_TIME,
    NETWORK_IDLE_TIMEOUT,
    ONE_MACHINE,
    SHUTDOWN_MARGIN,
    TOOL_CALL_TIMEOUT,
    Timings,
)

ROOT = Path(__file__).parents[3]


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

    assert read(environment).model_max_silence < read(environment).model_max_call < turn
    assert TOOL_CALL_TIMEOUT < turn <= MAX_WORK_TIME == FUNCTION_TIMEOUT - SHUTDOWN_MARGIN


@pytest.mark.parametrize("timings", [CLOUD, ONE_MACHINE])
def test_a_lost_attempt_is_noticed_after_missed_renewals_of_its_lease(timings: Timings) -> None:
    assert 2 * timings.renew_lease_after < timings.lost_after <= timings.handover_after


@pytest.mark.parametrize("timings", [CLOUD, ONE_MACHINE])
def test_an_outage_between_two_sweeps_makes_no_attempt_look_lost(timings: Timings) -> None:
    longest_silence = timings.renew_lease_after + timedelta(seconds=timings.sweep_seconds)

    assert longest_silence < timings.lost_after


def test_a_silent_request_ends_before_the_network_drops_it(environment: pytest.MonkeyPatch) -> None:
    wait = timedelta(seconds=read(environment).message_wait_seconds)

    assert wait <= timedelta(seconds=MAX_WAIT_SECONDS) < NETWORK_IDLE_TIMEOUT
    assert HEARTBEAT * 2 < NETWORK_IDLE_TIMEOUT


def test_a_stream_ends_before_its_function(environment: pytest.MonkeyPatch) -> None:
    assert timedelta(seconds=read(environment).stream_max_seconds) <= MAX_WORK_TIME < FUNCTION_TIMEOUT


def test_deleted_sessions_outlast_every_function() -> None:
    assert CLOUD.clear_after > FUNCTION_TIMEOUT


@pytest.mark.parametrize("file", ["host.json", "infra/host.azureManaged.json"])
def test_the_function_times_out_as_host_json_says(file: str) -> None:
    timeout = json.loads((ROOT / file).read_text(encoding="utf-8"))["functionTimeout"]
    hours, minutes, seconds = map(int, timeout.split(":"))

    assert timedelta(hours=hours, minutes=minutes, seconds=seconds) == FUNCTION_TIMEOUT


@pytest.mark.parametrize(
    ("name", "maximum"), [("TURN_TIMEOUT_SECONDS", 1500), ("STREAM_MAX_SECONDS", 1500), ("MESSAGE_WAIT_SECONDS", 200)]
)
def test_a_setting_that_exceeds_the_limit_around_it_is_refused(
    environment: pytest.MonkeyPatch, name: str, maximum: int
) -> None:
    assert getattr(read(environment, **{name: str(maximum)}), name.lower()) == maximum

    with pytest.raises(SettingsError, match=f"{name} must be at most {maximum}, not {maximum + 1}"):
        read(environment, **{name: str(maximum + 1)})
