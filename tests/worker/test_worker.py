"""Runs the tests of this folder on the library of Azure's Python worker, which needs Python 3.13."""

import os
import subprocess

import pytest

from tests.worker import environment


def test_the_app_works_on_the_worker_that_azure_runs() -> None:
    if "CI" in os.environ:
        environment.make()
    python = environment.ready()
    if python is None:
        pytest.skip(f".venv-worker is missing or not up to date: {environment.COMMAND}")

    command = [python, "-m", "pytest", "-p", "no:cacheprovider", "--confcutdir", "tests/worker", "tests/worker"]
    run = subprocess.run(command, cwd=environment.ROOT, check=False, capture_output=True, text=True)

    assert run.returncode == 0, run.stdout + run.stderr


def test_the_worker_has_the_versions_that_are_deployed() -> None:
    deployed, worker = (_pins(name) for name in ("requirements.txt", "requirements-worker.txt"))

    assert {name: worker.get(name) for name in deployed} == deployed


def _pins(file: str) -> dict[str, str]:
    """The versions in a lock file that apply to Python 3.13 on Linux."""
    lines = (environment.ROOT / file).read_text().splitlines()
    pinned = [line for line in lines if "==" in line and "python_full_version < '3.13'" not in line]
    return dict(line.rstrip(" \\").partition(" ;")[0].split("==") for line in pinned)
