"""`python -m turnlog.local.host`: what it reads, prints and refuses, and how it stops."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.local.host_process import ROOT, command, environment, running_process
from tests.local.local_host import App, running_host
from turnlog.local.errors import AddressError, LockedError

APP = """
import asyncio, os

import azure.durable_functions as df
import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

SEEN = {name: os.environ.get(name) for name in (
    "GIVEN", "KEPT", "DATA_DIR", "OPENAI_BASE_URL", "OPENAI_API_KEY", "PYTHON_ENABLE_INIT_INDEXING")}
app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("seen", methods=["GET", "POST"])
async def seen(req: Request) -> Response:
    return JSONResponse({**SEEN, "cwd": os.getcwd()})


@app.route("stream")
async def stream(req: Request) -> Response:
    async def endless():
        yield b"begun"
        await asyncio.Event().wait()
    return StreamingResponse(endless())


@app.route("counting")
async def counting(req: Request) -> Response:
    async def pieces():
        yield b"begun"
        while not os.path.exists("go"):
            await asyncio.sleep(0.01)
        yield b"ended"
    return StreamingResponse(pieces())


@app.route("busy")
@app.durable_client_input(client_name="client")
async def busy(req: Request, client: df.DurableOrchestrationClient) -> Response:
    return Response(await client.start_new("main", "one"))


@app.orchestration_trigger(context_name="context")
def main(context: df.DurableOrchestrationContext):
    yield context.call_activity("sleep")


@app.activity_trigger(input_name="given")
async def sleep(given: None) -> None:
    await asyncio.sleep(3600)


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
async def nightly(timer: func.TimerRequest) -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "function_app.py").write_text(APP)
    return tmp_path


def refused(folder: Path, *arguments: str, without_port: bool = False, **env: str) -> str:
    """Run a host that must not start, and return the one line that it prints."""
    given = [each for each in command(folder) if not (without_port and each in {"--port", "0"})]
    result = subprocess.run(
        [*given, *arguments], env=environment(**env), capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def test_the_banner_counts_the_functions_and_names_the_data(folder: Path) -> None:
    with running_process(folder) as host:
        banner = "".join(host.banner)

    assert re.search(r"serves +\d+ routes, 1 orchestrators, 1 activities, 1 timers \(--verbose lists them\)", banner)
    assert "/api/seen" not in banner
    assert f"data           {folder / '.data'}, task hub turnlog" in banner
    assert f", process {host.process.pid}" in banner
    assert "console" not in banner  # this app has none


def test_the_verbose_banner_lists_the_functions(folder: Path) -> None:
    with running_process(folder, None, "--verbose") as host:
        banner = "".join(host.banner)

    assert "replaces Azure Functions" in banner
    assert "GET,POST       /api/seen" in banner
    for names in ("orchestrators  main", "activities     sleep", "timers         nightly (0 0 3 * * *)"):
        assert names in banner


def test_the_banner_says_what_to_open_and_to_send_first(tmp_path: Path) -> None:
    with running_process(ROOT, environment(DATA_DIR=str(tmp_path), MODEL="m", OPENAI_API_KEY="k")) as host:
        banner = [line.strip() for line in host.banner]

    assert len(banner) <= 10
    process, console, docs, terminal, request = banner[-5:]  # right above the address
    assert process.endswith(f", process {host.process.pid}")
    assert console.split() == ["console", f"{host.url}/"]
    assert docs.endswith(f"docs       {host.url}/api/docs")
    assert terminal.endswith(f"turnlog chat --url {host.url}")
    assert request.endswith(f"curl -X POST {host.url}/sessions")


def test_settings_come_from_the_file_unless_they_are_set(folder: Path) -> None:
    values = {"GIVEN": "from the file", "KEPT": "from the file", "DATA_DIR": "kept/here"}
    (folder / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))

    with running_process(folder, environment(KEPT="from outside")) as host:
        seen = httpx2.get(f"{host.url}/api/seen", timeout=60).json()

    assert (seen["GIVEN"], seen["KEPT"]) == ("from the file", "from outside")
    assert (seen["cwd"], seen["PYTHON_ENABLE_INIT_INDEXING"]) == (str(folder), "1")
    assert [path.name for path in (folder / "kept/here").iterdir() if path.suffix == ".db"] == ["turnlog.taskhub.db"]


def test_host_json_names_prefix_and_task_hub(folder: Path) -> None:
    durable = {"hubName": "%TASKHUB_NAME%"}
    (folder / "host.json").write_text(json.dumps({"extensions": {"http": {"routePrefix": ""}, "durableTask": durable}}))

    with running_process(folder, environment(TASKHUB_NAME="mine")) as host:
        status = httpx2.get(f"{host.url}/seen", timeout=60).status_code

    assert status == 200
    assert (folder / ".data" / "mine.taskhub.db").exists()


def test_without_a_model_endpoint_the_scripted_model_runs_as_long_as_the_host(folder: Path) -> None:
    env = environment()
    del env["OPENAI_BASE_URL"]

    with running_process(folder, env) as host:
        seen = httpx2.get(f"{host.url}/api/seen", timeout=60).json()
        models = httpx2.get(f"{seen['OPENAI_BASE_URL']}/models", timeout=60)
        host.kill()

    assert models.status_code == 200
    assert seen["OPENAI_API_KEY"]
    assert "scripted" in "".join(host.banner)
    port = int(seen["OPENAI_BASE_URL"].split(":")[2].split("/")[0])
    wait_until_port_is_free(port)


def wait_until_port_is_free(port: int) -> None:
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return


# A grace of ten minutes is longer than a test may take: only a second signal can cut the stream earlier.
@pytest.mark.parametrize(
    ("sent", "grace"),
    [
        pytest.param([signal.SIGTERM], "0", id="terminated, and the grace is over"),
        pytest.param([signal.SIGTERM, signal.SIGTERM], "600", id="terminated twice"),
        pytest.param([signal.SIGINT], "600", id="interrupted"),
    ],
)
def test_it_stops_in_order_while_streams_and_activities_run(
    folder: Path, sent: list[signal.Signals], grace: str
) -> None:
    with (
        running_process(folder, None, "--grace", grace) as host,
        httpx2.stream("GET", f"{host.url}/api/stream") as stream,
    ):
        next(stream.iter_raw())
        httpx2.get(f"{host.url}/api/busy", timeout=60).raise_for_status()
        for number, each in enumerate(sent):
            if number:
                wait_until_port_is_free(int(host.url.rpartition(":")[2]))
            host.process.send_signal(each)
        _, errors = host.process.communicate()

    assert host.process.returncode == 0
    assert "Traceback" not in errors


def test_a_stream_continues_after_sigterm_and_new_requests_are_refused(folder: Path) -> None:
    with running_process(folder) as host, httpx2.stream("GET", f"{host.url}/api/counting") as stream:
        pieces = stream.iter_raw()
        assert next(pieces) == b"begun"
        host.process.send_signal(signal.SIGTERM)
        wait_until_port_is_free(int(host.url.rpartition(":")[2]))
        (folder / "go").touch()

        assert list(pieces) == [b"ended"]
        _, errors = host.process.communicate()

    assert host.process.returncode == 0
    assert "Traceback" not in errors


def test_a_stream_that_takes_longer_than_the_grace_is_cut(folder: Path) -> None:
    with (
        running_process(folder, None, "--grace", "1") as host,
        httpx2.stream("GET", f"{host.url}/api/counting") as stream,
    ):
        pieces = stream.iter_raw()
        next(pieces)
        host.process.send_signal(signal.SIGTERM)

        with pytest.raises(httpx2.RemoteProtocolError):
            next(pieces)


def test_a_port_in_use_is_reported_in_one_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        output = refused(folder, "--port", str(port))

    assert f"port {port} is in use" in output
    assert "PORT" in output


def test_two_hosts_do_not_share_their_data(folder: Path) -> None:
    with running_process(folder) as host:
        output = refused(folder, "--data-dir", str(folder / ".data"))

    assert f"in use by another host (process {host.process.pid})" in output


def test_an_app_that_cannot_be_served_is_reported_in_one_line(folder: Path) -> None:
    (folder / "function_app.py").write_text(APP.replace('"stream"', '"docs"'))
    (folder / "host.json").write_text('{"extensions": {"http": {"routePrefix": ""}}}')

    assert "cannot start: function stream: " in refused(folder)


@pytest.mark.parametrize("file", ["host.json", "local.settings.json"])
def test_a_broken_file_is_named(folder: Path, file: str) -> None:
    (folder / file).write_text("{")

    assert f"{file} is not valid JSON" in refused(folder)


def test_a_file_that_is_not_a_task_hub_is_named(folder: Path) -> None:
    (folder / ".data").mkdir()
    (folder / ".data" / "turnlog.taskhub.db").write_text("not a database, and long enough to be sure of it" * 100)

    assert "turnlog.taskhub.db cannot be opened" in refused(folder)


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("LOG_LEVEL", "loud")])
def test_an_invalid_setting_is_named(folder: Path, name: str, value: str) -> None:
    output = refused(folder, without_port=True, **{name: value})

    assert f"{name} must be" in output


def test_a_folder_without_an_app_is_reported_in_one_line(tmp_path: Path) -> None:
    assert "there is no function_app.py" in refused(tmp_path)


def test_help_describes_the_host() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "turnlog.local.host", "--help"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert "The local Functions host" in run.stdout
    assert "--data-dir" in run.stdout


@pytest.mark.anyio
async def test_a_second_host_in_the_process_is_refused_the_same_data(tmp_path: Path) -> None:
    async with running_host(App(), tmp_path):
        with pytest.raises(LockedError):
            async with running_host(App(), tmp_path):
                pass


@pytest.mark.anyio
async def test_data_and_port_are_free_again_after_a_host_that_could_not_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: Any = taken.getsockname()[1]
        with pytest.raises(AddressError):
            async with running_host(App(), tmp_path, port=port):
                pass

    async with running_host(App(), tmp_path, port=port) as host:
        assert host.http.base_url.port == port


HUB_FILE = "turnlog.taskhub.db"


def _start_turn(url: str) -> None:
    """Write to the store and to the task hub."""
    assert httpx2.post(f"{url}/sessions", json={"session_id": "demo"}).status_code == 201
    headers = {"prefer": "respond-async"}
    posted = httpx2.post(f"{url}/sessions/demo/messages", json={"content": "Hello"}, headers=headers)
    assert posted.status_code == 202


@pytest.mark.skipif(os.name != "posix", reason="Windows has other rights")
def test_only_the_systems_user_may_read_what_the_host_writes(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with running_process(ROOT, environment(OPENAI_API_KEY="none", MODEL="none"), "--data-dir", str(data_dir)) as host:
        _start_turn(host.url)
        rights = {each.name: stat.S_IMODE(each.stat().st_mode) for each in data_dir.rglob("*") if each.is_file()}
        assert rights.keys() >= {"sessions.db", HUB_FILE, f"{HUB_FILE}-wal", "host.lock"}
        assert set(rights.values()) == {0o600}
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="Windows has other rights")
@pytest.mark.parametrize("name", [HUB_FILE, "host.lock"])
def test_a_file_that_others_could_read_is_made_private(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch(mode=0o644)
    (tmp_path / name).chmod(0o644)

    with running_process(ROOT, environment(OPENAI_API_KEY="none", MODEL="none"), "--data-dir", str(tmp_path)) as host:
        _start_turn(host.url)

        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
