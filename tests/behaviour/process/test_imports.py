"""Imports at the start: without the vendors' SDKs, or with those that turns need if only turns run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
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
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=ROOT, env={**inherited, **env}, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("env", [{}, {"FUNCTIONS_TARGET_GROUP": "http", "COSMOS_ENDPOINT": "https://x"}])
def test_a_process_for_requests_imports_no_sdk(env: dict[str, str]) -> None:
    assert {MODEL, COSMOS} & imported(**env) == set()


def test_a_process_that_runs_only_turns_imports_what_they_need() -> None:
    assert {MODEL, COSMOS} <= imported(FUNCTIONS_TARGET_GROUP="durable", COSMOS_ENDPOINT="https://x")


def test_an_unused_store_is_not_imported() -> None:
    found = imported(FUNCTIONS_TARGET_GROUP="durable")

    assert (MODEL in found, COSMOS in found) == (True, False)
