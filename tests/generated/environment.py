"""The virtual environment of these tests, with what `requirements-generated.txt` names.

`python tests/generated/environment.py` creates `.venv-generated`, unless it is up to date.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LOCK = ROOT / "requirements-generated.txt"
_FOLDER = ROOT / ".venv-generated"
_PYTHON = _FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
_INSTALLED = _FOLDER / "installed.txt"  # the lock file of which everything is installed


def create() -> None:
    """Create the environment again, unless it is up to date."""
    if _INSTALLED.is_file() and _INSTALLED.read_text() == _LOCK.read_text() and _PYTHON.exists():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", _FOLDER], check=True)
    pip = [_PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--requirement", _LOCK]
    subprocess.run(pip, check=True)
    _INSTALLED.write_text(_LOCK.read_text())


if __name__ == "__main__":
    create()
