"""`make run` says what it installs, once."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _make_run(venv: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}  # not the flags of a `make` that runs this test
    return subprocess.run(
        ["make", "run", f"VENV={venv}"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def _fake_python(venv: Path, body: str) -> None:
    (venv / "bin").mkdir()
    python = venv / "bin" / "python"
    python.write_text(f"#!/bin/sh\n{body}\n")
    python.chmod(0o755)


def test_the_first_make_run_says_what_it_installs_and_how_long_that_took(tmp_path: Path) -> None:
    _fake_python(tmp_path, 'echo "$2"')

    first, second = _make_run(tmp_path), _make_run(tmp_path)

    begun = r"installing the [1-9]\d* packages of requirements-local\.txt into .+"
    assert re.fullmatch(begun + r"(\npip){2}\ninstalled in \d+ s\nlocal\.run\n", first.stdout), first
    assert second.stdout == "turnlog.local.run\n"


def test_a_failed_installation_ends_make_run_and_is_tried_again(tmp_path: Path) -> None:
    _fake_python(tmp_path, 'test "$2" != pip')

    for run in (_make_run(tmp_path), _make_run(tmp_path)):
        assert run.returncode != 0
        assert run.stdout.startswith("installing ")
        assert "installed" not in run.stdout
