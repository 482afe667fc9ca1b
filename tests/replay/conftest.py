"""Turns for the tests: payloads are plain values, and at the end every part of the history replays the same."""

from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import pytest

from tests.replay.harness import Turn

Begin: TypeAlias = Callable[..., Turn]


@pytest.fixture(autouse=True)
def strict_typing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_FUNCTIONS_DURABLE_STRICT_TYPING", "1")


@pytest.fixture
def begin() -> Generator[Begin]:
    """Starts instances of `run_turn`; takes the arguments of `Turn`."""
    begun: list[Turn] = []

    def begin(**limits: Any) -> Turn:
        begun.append(Turn(**limits))
        return begun[-1]

    yield begin
    for turn in begun:
        for end in range(2, len(turn.history) + 1):
            turn.check_replay(end)
