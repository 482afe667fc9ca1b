"""The wheel, installed alone: in an environment without this repository and its packages."""

import subprocess
import sys
from pathlib import Path

import pytest
from client_server import ROOT, Server

PROGRAM = """
import sys
from turnlog_client import Client
with Client(sys.argv[1]) as client:
    print(client.create_session().send("Hello", wait=60)["status"])
"""


@pytest.mark.timeout(600)  # pip downloads what the wheel needs
def test_the_wheel_installs_alone_and_brings_the_command_and_its_types(server: Server, tmp_path: Path) -> None:
    dist, environment = tmp_path / "dist", tmp_path / "environment"
    _run(sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", str(dist), str(ROOT / "clients/python"))
    (wheel,) = dist.glob("turnlog_client-*.whl")
    assert len(list(dist.glob("turnlog_client-*.tar.gz"))) == 1
    _run(sys.executable, "-m", "venv", str(environment))
    bin_dir = environment / "bin"
    _run(str(bin_dir / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))

    assert _run(str(bin_dir / "turnlog"), "--help").startswith("usage: turnlog")
    assert _run(str(bin_dir / "python"), "-c", PROGRAM, server.url) == "completed\n"
    assert len(list(environment.glob("lib/*/site-packages/turnlog_client/py.typed"))) == 1


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/", timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
