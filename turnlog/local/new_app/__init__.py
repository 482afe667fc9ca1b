"""Writes a new Functions app that depends on this package: `turnlog init my-agents`."""

import shutil
from pathlib import Path

from turnlog import __version__
from turnlog.local.errors import RefusedError

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
_OWN = {"README.md": "README.md", "agents": "agents", "funcignore": ".funcignore", "gitignore": ".gitignore"}
_SHARED = {
    "function_app.py": "function_app.py",
    "host.json": "host.json",
    "local.settings.example.json": "local.settings.json",
    "azure.yaml": "azure.yaml",
    "infra": "infra",
}
"""Files of the repository's own app. A wheel has a copy of them in this folder."""


def create_app(folder: Path, wheel: Path | None = None) -> None:
    """Write a Functions app into `folder`, which is created.

    Args:
        folder: it does not exist, or is empty.
        wheel: a wheel of this package that the app takes with it, instead of one from the package index.

    Raises:
        RefusedError: there is something in the folder, or there is no such wheel. Nothing has been written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RefusedError(f"{folder} is not empty: name a new folder")
    if wheel is not None and not wheel.is_file():
        raise RefusedError(f"{wheel} is not a file")
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in _OWN.items():
        _copy(_HERE / name, folder / target)
    for name, target in _SHARED.items():
        _copy(_HERE / name if (_HERE / name).exists() else _ROOT / name, folder / target)
    (folder / "requirements.txt").write_text(_requirement(folder, wheel) + "\n", encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    else:
        shutil.copyfile(source, target)


def _requirement(folder: Path, wheel: Path | None) -> str:
    if wheel is None:
        return f"turnlog=={__version__}"
    shutil.copy(wheel, folder / wheel.name)
    return f"./{wheel.name}"
