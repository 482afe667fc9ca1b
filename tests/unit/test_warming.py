"""What is imported at the start: the app without the vendors it may not need, and all of it where only turns run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL, COSMOS = "openai", "azure.cosmos.aio"
SCRIPT = """
import sys, threading
import function_app
for thread in threading.enumerate():
    if thread.name == "warm-up":
        thread.join()
print(*sys.modules)
"""


def imported(**env: str) -> set[str]:
    """The modules of a process that has indexed the app."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=ROOT, env={**kept, **env}, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("env", [{}, {"FUNCTIONS_TARGET_GROUP": "http", "COSMOS_ENDPOINT": "https://x"}])
def test_where_requests_come_first_neither_sdk_is_imported(env: dict[str, str]) -> None:
    assert {MODEL, COSMOS} & imported(**env) == set()


def test_where_only_turns_run_what_they_need_is_imported() -> None:
    assert {MODEL, COSMOS} <= imported(FUNCTIONS_TARGET_GROUP="durable", COSMOS_ENDPOINT="https://x")


def test_a_store_that_is_not_used_is_not_imported() -> None:
    found = imported(FUNCTIONS_TARGET_GROUP="durable")

    assert (MODEL in found, COSMOS in found) == (True, False)
