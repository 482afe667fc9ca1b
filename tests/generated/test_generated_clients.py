"""Clients that are generated from the API's description: a use of each type-checks, and runs against a real server."""

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.http.api_client import Host, running_host

_HERE = Path(__file__).parent
_BUILD = _HERE / "build"
_BIN = Path(sys.executable).parent
_NODE_BIN = _HERE / "node_modules/.bin"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Host]:
    with running_host(tmp_path_factory.mktemp("server")) as host:
        yield host


@pytest.fixture(scope="module")
def description(server: Host) -> Path:
    """The file of the description that the server serves, in an empty folder for what is generated."""
    shutil.rmtree(_BUILD, ignore_errors=True)
    _BUILD.mkdir()
    file = _BUILD / "openapi.json"
    with urllib.request.urlopen(f"{server.url}/api/openapi.json") as response:
        file.write_bytes(response.read())
    return file


def _run(*command: str | Path, cwd: Path = _HERE, **env: str) -> None:
    path = os.pathsep.join([str(_BIN), os.environ["PATH"]])
    ran = subprocess.run(
        command, cwd=cwd, env={**os.environ, "PATH": path, **env}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-10_000:] + ran.stderr[-10_000:]


def test_the_client_of_openapi_typescript_compiles_and_works(server: Host, description: Path) -> None:
    _run(_NODE_BIN / "openapi-typescript", description, "--output", _BUILD / "description.d.ts")

    _run(_NODE_BIN / "tsc", "--project", _HERE / "tsconfig.json")

    _run("node", _BUILD / "use.js", server.url)


def test_the_client_of_hey_api_compiles_and_works(server: Host, description: Path) -> None:
    assert description.is_file()  # openapi-ts.config.mjs names it
    _run(_NODE_BIN / "openapi-ts", "--silent", "--no-log-file")

    _run(_NODE_BIN / "tsc", "--project", _HERE / "tsconfig.hey_api.json")

    _run("node", _BUILD / "use_hey_api.js", server.url)


def test_the_client_of_openapi_python_client_type_checks_and_works(server: Host, description: Path) -> None:
    folder = _BUILD / "python"
    _run("openapi-python-client", "generate", "--path", description, "--output-path", folder)

    _check_use(_HERE / "python", folder, server)


def test_the_python_client_of_openapi_generator_type_checks_and_works(server: Host, description: Path) -> None:
    folder = _BUILD / "openapi_generator"
    without = "apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"
    options = ("--generator-name", "python", "--package-name", "turnlog_generated", "--global-property", without)
    _run("openapi-generator-cli", "generate", *options, "--input-spec", description, "--output", folder)

    _check_use(_HERE / "openapi_generator", folder, server)


def _check_use(use: Path, folder: Path, server: Host) -> None:
    """Check the types of the program in `use` beside the client in `folder`, and run it."""
    for file in use.iterdir():
        shutil.copy(file, folder)

    _run("pyright", "--project", folder, "--pythonpath", sys.executable)

    _run(sys.executable, folder / "use.py", server.url, PYTHONPATH=str(folder))
