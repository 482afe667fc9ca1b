"""`make run` starts Core Tools where they are installed, and the local host where they are not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_FAKE_FUNC = """#!{python}
import json, os, sys
json.dump({{"arguments": sys.argv[1:], "environment": dict(os.environ)}}, open({report!r}, "w"))
"""
_FAKE_NPX = """#!{python}
import signal
signal.pause()
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with a `func` that reports how it was called and ends, and an `npx` that runs until it is stopped."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in (("func", _FAKE_FUNC), ("npx", _FAKE_NPX)):
        tool = folder / name
        tool.write_text(script.format(python=sys.executable, report=str(tmp_path / "report.json")))
        tool.chmod(0o755)
    return folder


def _run(path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"OPENAI_BASE_URL", "HOST_MODE"}}
    command = [sys.executable, "-m", "local.run"]
    return subprocess.run(
        command,
        check=False,
        env={**kept, "PATH": path, **environment},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_core_tools_on_the_path_are_started_with_what_the_app_needs(tools: Path, tmp_path: Path) -> None:
    ended = _run(str(tools), PORT="7123", DATA_DIR=str(tmp_path))

    report = json.loads((tmp_path / "report.json").read_text())
    assert ended.returncode == 0, ended.stderr
    assert report["arguments"] == ["start", "--port", "7123"]
    assert report["environment"]["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"
    assert report["environment"]["PYTHON_ENABLE_INIT_INDEXING"] == "1"
    assert report["environment"]["OPENAI_BASE_URL"].startswith("http://127.0.0.1:")


def test_an_endpoint_of_ones_own_is_kept(tools: Path, tmp_path: Path) -> None:
    _run(str(tools), DATA_DIR=str(tmp_path), OPENAI_BASE_URL="http://127.0.0.1:1/v1")

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["environment"]["OPENAI_BASE_URL"] == "http://127.0.0.1:1/v1"


def test_core_tools_that_are_asked_for_and_missing_are_named(tmp_path: Path) -> None:
    ended = _run(str(tmp_path), HOST_MODE="func")

    assert ended.returncode == 1
    assert "func" in ended.stderr
    assert "HOST_MODE=local" in ended.stderr


def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    ended = _run(str(tmp_path), HOST_MODE="docker")

    assert ended.returncode == 1
    assert "HOST_MODE must be func or local, not 'docker'" in ended.stderr
