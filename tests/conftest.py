"""What every test shares: async tests run on asyncio, and nothing is read from the developer's own environment.

Many tests wait for other processes. So there is one worker more than there are cores, and the files that wait longest
come first: the quick ones at the end leave no core without work.
"""

import os
from pathlib import Path

import pytest

from turnlog.agents.registry import load_agents

load_agents(Path(__file__).parents[1] / "examples" / "agents")

_LONG = ("model_servers", "local", "faults", "telemetry", "http")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(item.path))


def _rank(file: Path) -> int:
    folder = file.relative_to(Path(__file__).parent).parts[0]
    return _LONG.index(folder) if folder in _LONG else len(_LONG)
