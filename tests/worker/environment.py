"""The virtual environment of the worker's tests: Python 3.13 or later, with the packages of `requirements-worker.txt`.

`python tests/worker/environment.py` creates `.venv-worker`, unless it is up to date.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = "python tests/worker/environment.py"
_LOCK = ROOT / "requirements-worker.txt"
_FOLDER = ROOT / ".venv-worker"
_PYTHON = _FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
_INSTALLED = _FOLDER / "installed.txt"  # a copy of the lock file, written after the installation
_IS_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 13))"


def ready() -> Path | None:
    """The environment's interpreter, if the environment is up to date."""
    is_current = _INSTALLED.is_file() and _INSTALLED.read_text() == _LOCK.read_text()
    return _PYTHON if is_current and _PYTHON.exists() else None


def make() -> None:
    """Create the environment, unless it is up to date."""
    if ready() is not None:
        return
    python = next((found for found in _candidates() if _is_new_enough(found)), None)
    if python is None:
        sys.exit("There is no Python 3.13 or later: install one, or name it in PYTHON313.")
    subprocess.run([python, "-m", "venv", "--clear", _FOLDER], check=True)
    pip = [_PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--requirement", _LOCK]
    subprocess.run(pip, check=True)
    _INSTALLED.write_text(_LOCK.read_text())


def _candidates() -> Iterator[str]:
    if named := os.environ.get("PYTHON313"):
        yield named
    yield sys.executable
    yield from filter(None, map(shutil.which, ("python3.13", "python3", "python")))
    yield from map(str, sorted(Path.home().glob(".pyenv/versions/3.13*/bin/python")))


def _is_new_enough(python: str) -> bool:
    try:
        return subprocess.run([python, "-c", _IS_NEW_ENOUGH], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    make()
