"""What the peers need, in an environment of their own beside the project's: pinned packages of PyPI and of npm."""

import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
PYTHON = FOLDER / (".venv/Scripts/python.exe" if os.name == "nt" else ".venv/bin/python")

_LOCK = FOLDER / "requirements.txt"
_INSTALLED = FOLDER / ".venv/installed.txt"  # the lock file of which everything is installed
_NPM_LOCK = FOLDER / "package-lock.json"
_NPM_INSTALLED = FOLDER / "node_modules/.installed"


class InstallError(Exception):
    """A peer cannot be installed on this machine; the message says what failed."""


def install_python() -> None:
    """Create the virtual environment again, unless it is up to date."""
    if _INSTALLED.is_file() and _INSTALLED.read_text() == _LOCK.read_text() and PYTHON.exists():
        return
    print("installing the Python packages of the peers …", file=sys.stderr, flush=True)
    run(sys.executable, "-m", "venv", "--clear", str(FOLDER / ".venv"))
    pip = (str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--requirement")
    run(*pip, str(_LOCK))
    _INSTALLED.write_text(_LOCK.read_text())


def install_restate() -> None:
    """Install the server of Restate from npm, without the scripts of packages, unless it is up to date."""
    if not _NPM_INSTALLED.is_file() or _NPM_INSTALLED.read_text() != _NPM_LOCK.read_text():
        print("installing the server of Restate …", file=sys.stderr, flush=True)
        run("npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
        _NPM_INSTALLED.parent.mkdir(exist_ok=True)
        _NPM_INSTALLED.write_text(_NPM_LOCK.read_text())
    restate_server()


def restate_server() -> str:
    """Return the path of the server's binary."""
    for path in FOLDER.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"):
        return str(path)
    raise InstallError("npm has no server of Restate for this kind of machine")


def versions() -> str:
    """Return the pinned versions of what is measured."""
    pins = dict(line.split(" ")[0].split("==") for line in _LOCK.read_text().splitlines() if "==" in line)
    packages = json.loads(_NPM_LOCK.read_text())["packages"]
    server = next(each["version"] for name, each in packages.items() if "restate-server" in name)
    named = ("agno", "fastapi", "uvicorn", "sqlalchemy", "openai", "restate-sdk", "hypercorn")
    return ", ".join([f"{name} {pins[name]}" for name in named] + [f"restate-server {server}"])


def run(*command: str) -> None:
    try:
        subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise InstallError(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout or "no output").strip().splitlines()[-1]
        raise InstallError(f"{Path(command[0]).name} {' '.join(command[1:4])} failed: {last}") from error
