"""`make run` refuses what it cannot start, and says what to do."""

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def _run(path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in {"OPENAI_BASE_URL", "HOST_MODE"}}
    command = [sys.executable, "-m", "turnlog.local.run"]
    env = {**inherited, "PATH": path, **environment}
    return subprocess.run(command, check=False, env=env, cwd=_ROOT, capture_output=True, text=True, timeout=60)


def test_core_tools_that_are_asked_for_and_missing_are_named(tmp_path: Path) -> None:
    ended = _run(str(tmp_path), HOST_MODE="func")

    assert ended.returncode == 1
    assert "func" in ended.stderr
    assert "HOST_MODE=local" in ended.stderr


def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    ended = _run(str(tmp_path), HOST_MODE="docker")

    assert ended.returncode == 1
    assert "HOST_MODE must be func or local, not 'docker'" in ended.stderr
