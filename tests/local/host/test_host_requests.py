"""On a terminal the host prints one line for each request."""

import os
import pty
import re
import subprocess
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from azurefunctions.extensions.http.fastapi import Request, Response, StreamingResponse

from tests.local.host_process import command, environment, running_process
from tests.local.local_host import App, running_host, wait_until

pytestmark = pytest.mark.anyio


def _app() -> App:
    app = App()

    @app.route("health")
    async def health(req: Request) -> Response:
        return Response()

    @app.route("console/{version}/{folder}/{file}")
    async def console(req: Request) -> Response:
        return Response()

    @app.route("sessions/{id}")
    async def session(req: Request) -> Response:
        return Response(status_code=404, headers={"x-session-id": "s-1"})

    @app.route("stream")
    async def stream(req: Request) -> Response:
        return StreamingResponse(iter([b"data: 1\n\n", b"data: 2\n\n"]), media_type="text/event-stream")

    @app.route("broken")
    async def broken(req: Request) -> Response:
        async def pieces() -> AsyncGenerator[bytes]:
            yield b"begun"
            raise ValueError

        return StreamingResponse(pieces(), media_type="text/event-stream")

    return app


async def _lines(tmp_path: Path, path: str, *, is_coloured: bool = False) -> list[str]:
    """The lines that a request to `path` gives, without their times."""
    lines: list[str] = []
    async with running_host(_app(), tmp_path, write_request=lines.append, is_coloured=is_coloured) as host:
        await wait_until(lambda: _value(len(lines)))  # the line of `POST /client`
        with suppress(httpx2.RemoteProtocolError):
            await host.http.get(path)
        await host.http.get("/last")
        await wait_until(lambda: _value(any("/last" in line for line in lines)))
    return [re.sub(r"\d+ ms", "N ms", line) for line in lines if "/client" not in line and "/last" not in line]


async def _value(value: object) -> object:
    return value


async def test_a_line_has_method_path_status_time_and_session(tmp_path: Path) -> None:
    assert await _lines(tmp_path, "/sessions/s-1") == ["GET    /sessions/s-1 404 N ms s-1"]


async def test_a_line_leaves_out_the_query_which_can_hold_a_ticket(tmp_path: Path) -> None:
    assert await _lines(tmp_path, "/sessions/s-1?ticket=secret") == ["GET    /sessions/s-1 404 N ms s-1"]


@pytest.mark.parametrize("path", ["/health", "/Health/", "/console/1/client/index.js"])
async def test_probes_and_files_of_the_console_give_no_line(tmp_path: Path, path: str) -> None:
    assert await _lines(tmp_path, path) == []


async def test_a_stream_gives_one_line_with_its_length(tmp_path: Path) -> None:
    assert await _lines(tmp_path, "/stream") == ["GET    /stream 200 N ms stream of 18 bytes"]


async def test_a_stream_that_breaks_off_is_marked_as_cut(tmp_path: Path) -> None:
    assert await _lines(tmp_path, "/broken") == ["GET    /broken 200 N ms stream of 5 bytes cut"]


async def test_only_the_status_is_coloured(tmp_path: Path) -> None:
    assert await _lines(tmp_path, "/stream", is_coloured=True) == [
        "GET    /stream \x1b[32m200\x1b[0m N ms stream of 18 bytes"
    ]


_PROCESS_APP = """
import azure.durable_functions as df
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("ping")
async def ping(req: Request) -> Response:
    return Response()
"""


def _read_until(terminal: int, pattern: str) -> str:
    text = ""
    while not re.search(pattern, text):
        text += os.read(terminal, 65536).decode()
    return text


@pytest.mark.parametrize(("more", "line"), [({}, "\x1b[32m200\x1b[0m"), ({"NO_COLOR": "1"}, "200")])
def test_a_terminal_shows_the_requests(tmp_path: Path, more: dict[str, str], line: str) -> None:
    (tmp_path / "function_app.py").write_text(_PROCESS_APP)
    terminal, inside = pty.openpty()
    process = subprocess.Popen(command(tmp_path), stdout=inside, stderr=inside, env=environment(**more))
    os.close(inside)
    try:
        banner = _read_until(terminal, r"listening on \S+\r\n")
        url = banner.rpartition("listening on ")[2].split()[0]
        httpx2.get(f"{url}/api/ping")
        assert f"GET    /api/ping {line} " in _read_until(terminal, r"ping.* ms\r\n")
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def test_a_pipe_gets_no_line_for_a_request(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(_PROCESS_APP)
    with running_process(tmp_path) as host:
        assert httpx2.get(f"{host.url}/api/ping").status_code == 200
        host.process.terminate()
        output, _ = host.process.communicate()
    assert output == "stopping\n"
