"""The wheel, and the app that `turnlog init` writes: installed somewhere else, without this repository."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = """
import sys
from importlib.metadata import entry_points

(command,) = entry_points(group="turnlog.commands", name=sys.argv[1])
command.load()(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package alone: what it depends on is that of this environment."""
    folder = tmp_path_factory.mktemp("site")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(folder),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    return folder


def _command(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", COMMAND, *arguments]
    return subprocess.run(command, cwd=cwd, env=_environment(installed), capture_output=True, text=True, check=False)


def _environment(installed: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "HOST_MODE": "local"}


@pytest.fixture
def app(installed: Path, tmp_path: Path) -> Path:
    done = _command(installed, tmp_path, "init", "my-agents")
    assert done.returncode == 0, done.stderr
    assert "cd my-agents && turnlog run" in done.stdout
    return tmp_path / "my-agents"


@pytest.fixture
def address(installed: Path, app: Path) -> Iterator[str]:
    command = [sys.executable, "-c", COMMAND, "run", "--port", "0"]
    with subprocess.Popen(command, cwd=app, env=_environment(installed), stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        lines: list[str] = []
        try:
            for line in host.stdout:
                lines.append(line)
                if line.startswith("listening on "):
                    yield line.split()[-1]
                    break
            else:
                pytest.fail("".join(lines))
        finally:
            host.terminate()
            host.communicate()


def _post(url: str, body: dict[str, str]) -> dict[str, str]:
    request = Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urlopen(request) as response:
        return json.load(response)


def test_the_new_app_is_served_and_its_own_agent_answers(address: str) -> None:
    _post(f"{address}/sessions", {"session_id": "demo", "agent_name": "greeter"})

    message = _post(f"{address}/sessions/demo/messages", {"content": 'call greet {"name": "Ada"}'})

    assert message["status"] == "completed", message
    assert "Hello Ada!" in json.dumps(message)
    with urlopen(f"{address}/agents") as response:
        names = [agent["name"] for agent in json.load(response)["agents"]]
    assert names == ["assistant", "vibecoder", "greeter"]  # and none of this repository's examples


def test_the_new_app_has_what_a_deployment_needs(app: Path) -> None:
    function_app = (app / "function_app.py").read_text()
    assert len(function_app.split("\n\n")) <= 3
    assert "from turnlog.app import app" in function_app
    for name in ("host.json", "azure.yaml", "infra"):
        assert _files(app / name) == _files(ROOT / name)
    assert (app / "requirements.txt").read_text().startswith("turnlog==")
    assert json.loads((app / "local.settings.json").read_text())["Values"]["FUNCTIONS_WORKER_RUNTIME"] == "python"


def _files(path: Path) -> dict[str, bytes]:
    found = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file() and each.name[0] != "."]
    return {str(each.relative_to(path)): each.read_bytes() for each in found}


def test_an_app_can_take_its_wheel_with_it(installed: Path, wheel: Path, tmp_path: Path) -> None:
    assert _command(installed, tmp_path, "init", "app", "--wheel", str(wheel)).returncode == 0

    assert (tmp_path / "app" / "requirements.txt").read_text() == f"./{wheel.name}\n"
    assert (tmp_path / "app" / wheel.name).read_bytes() == wheel.read_bytes()


def test_a_folder_that_has_something_is_not_touched(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")

    refused = _command(installed, tmp_path, "init", "full")
    without_wheel = _command(installed, tmp_path, "init", "new", "--wheel", "none.whl")

    assert refused.stderr == "turnlog init: full is not empty: name a new folder\n"
    assert without_wheel.stderr == "turnlog init: none.whl is not a file\n"
    assert refused.returncode == without_wheel.returncode == 1
    assert [str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")] == ["full", "full/mine.txt"]
