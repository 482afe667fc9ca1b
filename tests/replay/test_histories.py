"""Release compatibility: today's orchestrator continues the instances of earlier releases."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.replay.harness import replay
from tests.replay.recording import FOLDER, SCENARIOS
from turnlog.local.durable.history import Kind

RECORDED = sorted(FOLDER.glob("*/*.json"))


def _requested(history: list[dict[str, Any]]) -> list[str]:
    """The names of a history's tasks in the order of their ids: what DTFx compares."""
    opened = {
        event["EventId"]: event.get("Name", "timer")
        for event in history
        if event["EventType"] in {Kind.TASK_SCHEDULED, Kind.TIMER_CREATED}
    }
    return [opened[number] for number in range(len(opened))]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_recorded_history_replays_without_non_determinism(path: Path) -> None:
    recorded = json.loads(path.read_text(encoding="utf-8"))
    history = recorded["history"]
    ends = [place + 1 for place, event in enumerate(history) if event["EventType"] == Kind.ORCHESTRATOR_COMPLETED]

    for end in ends:
        assert replay(recorded["input"], history[:end]).kinds == _requested(history[:end])
    assert replay(recorded["input"], history).ended == recorded["ended"]


def test_every_release_recorded_every_scenario() -> None:
    assert {path.stem for path in RECORDED} >= {scenario.__name__ for scenario in SCENARIOS}
