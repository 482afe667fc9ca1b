"""Installs the stand-ins for Core Tools and npx in a folder for PATH, beside a fresh copy of the app."""

import shutil
import sys
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[4]
HERE = Path(__file__).parent

Wrapper = Literal["none", "npm", "npm-before-4.1"]

_SCRIPT = '#!/bin/sh\nexec "{python}" "{program}" "$@"\n'
# This is how npm's package starts the program; its releases before 2025 pass no signal on.
_NPM = """#!/usr/bin/env node
const child = require('child_process').spawn('{program}', process.argv.slice(2), {{ stdio: 'inherit' }});
child.on('exit', code => process.exit(code));
{forward}
"""
_FORWARD = "for (const name of ['SIGINT', 'SIGTERM']) process.on(name, signal => child.kill(signal));"
# npx runs a shell that runs node: ending npx alone leaves node behind.
_NPX = '#!/bin/sh\n"{python}" "{program}" "$@" &\nwait\n'
# A Python without the app's packages, as a newcomer's is.
_BARE_PYTHON = '#!/bin/sh\nexec "{python}" -S "$@"\n'


def install(folder: Path, wrapper: Wrapper = "none") -> Path:
    """Write `func`, `npx` and a bare `python3` to `folder`, which a test puts first on PATH."""
    folder.mkdir()
    program = folder / "func-binary"
    _write(program, _SCRIPT.format(python=sys.executable, program=HERE / "func.py"))
    if wrapper == "none":
        program.rename(folder / "func")
    else:
        forward = _FORWARD if wrapper == "npm" else ""
        _write(folder / "func", _NPM.format(program=program, forward=forward))
    _write(folder / "npx", _NPX.format(python=sys.executable, program=HERE / "azurite.py"))
    _write(folder / "python3", _BARE_PYTHON.format(python=sys.executable))
    return folder


def activate(folder: Path) -> None:
    """Make `python3` the Python that has the app's packages, as in an activated environment."""
    _write(folder / "python3", _SCRIPT.split('"{program}"', maxsplit=1)[0].format(python=sys.executable) + '"$@"\n')


def copy_app(folder: Path) -> Path:
    """Create the app's folder as in a fresh clone: no data, no bytecode in its root."""
    folder.mkdir()
    for name in ("examples", "turnlog"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("function_app.py", "host.json", "local.settings.example.json"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".data").mkdir()
    shutil.copy(ROOT / ".data" / ".gitignore", folder / ".data")
    return folder


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
