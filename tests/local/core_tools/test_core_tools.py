"""`make run` with Core Tools, and plain `func start`: what starts, what is printed, and which processes are left."""

import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.local.core_tools.run_process import Run, StreamReader, occupied_ports, run_turn, running
from tests.local.core_tools.stand_ins.install import Wrapper, activate, copy_app, install

MAKE_RUN = [sys.executable, "-m", "turnlog.local.run"]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return copy_app(tmp_path / "app")


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    return install(tmp_path / "bin")


def test_a_fresh_clone_serves_its_first_turn_on_a_readable_console(app: Path, tmp_path: Path, port: int) -> None:
    tools = install(tmp_path / "bin", "npm")
    with running(MAKE_RUN, app, tools, PORT=str(port)) as run:
        url = run.url()
        message = run_turn(url)

        assert (url, message["status"]) == (f"http://127.0.0.1:{port}", "completed")
        assert (len(run.events("worker")), run.events("restart")) == (1, [])
        assert len(run.lines) < 20, run.output
        assert "Uvicorn running" not in run.output


def test_func_gets_the_settings_that_it_needs(app: Path, tools: Path, port: int) -> None:
    more = {"CORS_ORIGINS": "https://a.example, https://b.example", "HOST": "0.0.0.0"}
    with running(MAKE_RUN, app, tools, PORT=str(port), STAND_IN_FUNC_ENDS="0", **more) as run:
        run.wait()
        (start,) = run.events("start")

    given = start["environment"]
    cors, address = ["--cors", "https://a.example,https://b.example"], ["--address", "0.0.0.0"]
    assert start["arguments"] == ["start", "--port", str(port), *cors, *address]
    assert given["FUNCTIONS_WORKER_RUNTIME"] == "python"
    assert given["PYTHON_ENABLE_INIT_INDEXING"] == "1"
    assert given["OPENAI_BASE_URL"].startswith("http://127.0.0.1:")
    assert given["DATA_DIR"] == str(app / ".data")


def test_core_tools_read_local_settings_themselves(app: Path, tools: Path, port: int) -> None:
    example = json.loads((app / "local.settings.example.json").read_text())
    example["Values"] |= {"PORT": str(port), "MAX_STEPS": "3"}
    (app / "local.settings.json").write_text(json.dumps(example))

    with running(MAKE_RUN, app, tools) as run:
        url = run.url()

        assert url.endswith(f":{port}")
        assert run_turn(url)["status"] == "completed"
        skipped = [line.split("'")[1] for line in run.lines if line.startswith("Skipping")]
    assert {"OPENAI_BASE_URL", "OPENAI_API_KEY", "MODEL"} <= set(skipped)
    assert set(skipped) <= {"OPENAI_BASE_URL", "OPENAI_API_KEY", "MODEL", "AzureWebJobsStorage"}


def test_a_configured_model_endpoint_is_kept(app: Path, tools: Path, port: int) -> None:
    own = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "k", "MODEL": "m"}
    with running(MAKE_RUN, app, tools, PORT=str(port), STAND_IN_FUNC_ENDS="0", **own) as run:
        run.wait()
        (start,) = run.events("start")

    assert {name: start["environment"][name] for name in own} == own
    assert "scripted" not in run.output


def test_a_configured_storage_account_needs_no_azurite(app: Path, tools: Path, port: int) -> None:
    with occupied_ports(3) as ports:
        endpoints = zip(("Blob", "Queue", "Table"), ports, strict=True)
        own = ";".join(f"{service}Endpoint=http://127.0.0.1:{number}/account" for service, number in endpoints)
        more = {"AzureWebJobsStorage": own, "STAND_IN_FUNC_ENDS": "0", "STAND_IN_AZURITE_FAILS": "1"}
        with running(MAKE_RUN, app, tools, PORT=str(port), **more) as run:
            code = run.wait()

    assert code == 0
    assert run.events("start")[0]["environment"]["AzureWebJobsStorage"] == own


@pytest.mark.slow
def test_azurite_takes_free_ports_if_its_own_are_in_use(app: Path, tools: Path, port: int) -> None:
    with occupied_ports(0, 10000), running(MAKE_RUN, app, tools, PORT=str(port)) as run:
        run.url()
        connection = run.events("start")[0]["environment"]["AzureWebJobsStorage"]

    assert "QueueEndpoint=http://127.0.0.1:" in connection
    assert ":10000/" not in connection


def test_func_starts_after_azurite_listens_also_after_a_slow_download(app: Path, tools: Path, port: int) -> None:
    slow = {"STAND_IN_DOWNLOAD_SECONDS": "2", "STAND_IN_STORAGE_SECONDS": "0.2"}
    with running(MAKE_RUN, app, tools, PORT=str(port), **slow) as run:
        run.url()

        assert "npx downloads it the first time" in run.output


def test_an_azurite_that_does_not_start_is_reported(app: Path, tools: Path, port: int) -> None:
    with running(MAKE_RUN, app, tools, PORT=str(port), STAND_IN_AZURITE_FAILS="1") as run:
        code = run.wait()

        assert (code, run.events("start")) == (1, [])
        assert "ended before it listened" in run.output
        assert "npm error 404" in run.output
        assert run.left_running() == []


def test_a_taken_port_is_reported_before_anything_starts(app: Path, tools: Path) -> None:
    with occupied_ports(1) as (port,), running(MAKE_RUN, app, tools, PORT=str(port)) as run:
        code = run.wait()

        assert code == 1
        assert f"port {port} is in use" in run.output
        assert (run.events("start"), run.left_running()) == ([], [])


def test_two_runs_do_not_share_their_data(app: Path, tools: Path, port: int) -> None:
    with running(MAKE_RUN, app, tools, PORT=str(port)) as first:
        first.wait_for("storage")
        with running(MAKE_RUN, app, tools, PORT="0") as second:
            assert second.wait() == 1
            assert "is in use by another host" in second.output


def interrupt(run: Run) -> None:
    run.interrupt()


def terminate(run: Run) -> None:
    run.process.terminate()


@pytest.mark.parametrize(
    ("stop", "wrapper"),
    [
        (interrupt, "none"),
        pytest.param(terminate, "npm", marks=pytest.mark.slow),
        pytest.param(interrupt, "npm", marks=pytest.mark.slow),
        pytest.param(terminate, "none", marks=pytest.mark.slow),
    ],
)
def test_a_stop_gives_streams_their_time_and_leaves_no_process(
    app: Path, tmp_path: Path, port: int, stop: Callable[[Run], None], wrapper: Wrapper
) -> None:
    tools = install(tmp_path / "bin", wrapper)
    with running(MAKE_RUN, app, tools, PORT=str(port)) as run, StreamReader(run.url()) as reader:
        reader.wait_for("message.delta")
        stop(run)
        code = run.wait()

        assert code == 0, run.output
        assert reader.read().rstrip().endswith("}")
        assert "event: run.complete" in reader.read()
        assert run.events("drained") == [{"event": "drained", "cut": 0}]
        assert run.left_running() == []


@pytest.mark.slow
def test_a_wrapper_that_passes_no_signal_on_leaves_no_process(app: Path, tmp_path: Path, port: int) -> None:
    tools = install(tmp_path / "bin", "npm-before-4.1")
    with running(MAKE_RUN, app, tools, PORT=str(port)) as run, StreamReader(run.url()) as reader:
        reader.wait_for("message.delta")
        run.process.terminate()

        assert run.wait() == 0
        assert run.left_running() == []


@pytest.mark.slow
def test_a_second_signal_cuts_open_streams(app: Path, tools: Path, port: int) -> None:
    with running(MAKE_RUN, app, tools, PORT=str(port)) as run, StreamReader(run.url(), "fake-9000-20") as reader:
        reader.wait_for("message.delta")
        run.interrupt()
        run.wait_for("stopping")
        run.interrupt()

        assert run.wait() == 0
        assert "event: run.complete" not in reader.read()
        assert run.left_running() == []


def test_the_end_of_func_ends_everything_with_its_exit_code(app: Path, tools: Path, port: int) -> None:
    with running(MAKE_RUN, app, tools, PORT=str(port), STAND_IN_FUNC_ENDS="3") as run:
        assert run.wait() == 3
        assert run.left_running() == []


def test_a_killed_func_ends_its_worker_and_everything_else(app: Path, tools: Path, port: int) -> None:
    with running(MAKE_RUN, app, tools, PORT=str(port)) as run:
        run.url()
        os.kill(run.events("start")[0]["pid"], signal.SIGKILL)

        assert run.wait() != 0
        assert run.left_running() == []


@pytest.mark.slow
def test_the_end_of_azurite_stops_func(app: Path, tools: Path, port: int) -> None:
    with running(MAKE_RUN, app, tools, PORT=str(port)) as run:
        run.url()
        run.kill("azurite.py")

        assert run.wait() == 1
        assert "Azurite ended" in run.output
        assert [each["cut"] for each in run.events("drained")] in ([], [0])
        assert run.left_running() == []


def test_a_killed_supervisor_leaves_no_process_and_the_next_start_works(app: Path, tools: Path, port: int) -> None:
    with running(MAKE_RUN, app, tools, PORT=str(port)) as run:
        run.url()
        run.process.kill()
        run.wait()

        assert run.left_running() == []
    with running(MAKE_RUN, app, tools, PORT=str(port)) as again:
        assert run_turn(again.url())["status"] == "completed"


@contextmanager
def func_start(app: Path, tools: Path, port: int) -> Generator[Run]:
    """Run `func start` while the body runs, with something that listens where Azurite would."""
    with occupied_ports(3) as ports:
        storage = ",".join(map(str, ports))
        with running(["func", "start", "--port", str(port)], app, tools, STAND_IN_STORAGE_PORTS=storage) as run:
            yield run


def test_plain_func_start_with_the_example_settings_names_the_missing_model(
    app: Path, tools: Path, tmp_path: Path, port: int
) -> None:
    shutil.copy(app / "local.settings.example.json", app / "local.settings.json")
    activate(tools)
    with func_start(app, tools, port) as run:
        run.wait_for("get_health")
        ready = httpx2.get(f"http://127.0.0.1:{port}/ready", timeout=30)
        message = run_turn(f"http://127.0.0.1:{port}")

        checks = ready.json()["checks"]
        assert (ready.status_code, checks["store"], checks["model"]) == (503, "ok", "failed")
        assert (message["status"], message["error"]["code"]) == ("failed", "model_not_configured")
        assert "OPENAI_BASE_URL" in message["error"]["message"]
        assert "set OPENAI_BASE_URL" in run.output
        assert (len(run.events("worker")), run.events("restart")) == (1, [])
    assert not (app / "__pycache__").exists()


def test_the_stand_in_serves_nothing_with_a_python_that_lacks_the_packages(app: Path, tools: Path, port: int) -> None:
    shutil.copy(app / "local.settings.example.json", app / "local.settings.json")
    with func_start(app, tools, port) as run:
        run.wait_for("No job functions found")
        status = httpx2.get(f"http://127.0.0.1:{port}/health", timeout=60).status_code

        assert status == 404
        assert "No module named 'azure'" in run.output


def test_the_stand_in_restarts_its_worker_when_a_folder_appears(app: Path, tools: Path, port: int) -> None:
    with running(MAKE_RUN, app, tools, PORT=str(port)) as run:
        run.url()
        (app / ".pytest_cache").mkdir()
        run.wait_for("Signaling restart")

        assert len(run.events("restart")) == 1
