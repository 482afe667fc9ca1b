"""The lines that a terminal shows: one for each request that a person or a program made."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

import pytest
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

from tests.local.local_host import App, running_host

pytestmark = pytest.mark.anyio

_ROOT = Path(__file__).parents[3]
_COLOUR = re.compile(r"\x1b\[\d+m")


class Greeter(App):
    """Answers in several ways."""

    def __init__(self) -> None:
        super().__init__()

        @self.route("greet/{name}", methods=["GET"])
        async def greet(req: Request) -> Response:
            return JSONResponse({}, 201, {"x-session-id": req.path_params["name"]})

        @self.route("broken", methods=["GET"])
        async def fail(req: Request) -> Response:
            raise ValueError(req.url.path)

        @self.route("stream", methods=["GET"])
        async def stream(req: Request) -> Response:
            async def frames() -> AsyncGenerator[bytes]:
                for _ in range(4):
                    yield b"x" * 512
                    await asyncio.sleep(0)

            return StreamingResponse(frames(), media_type="text/event-stream")

        @self.route("health", methods=["GET"])
        async def health(req: Request) -> Response:
            return Response()


async def test_each_request_has_a_line_without_its_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    lines: list[str] = []

    async with running_host(Greeter(), tmp_path, print_request=lines.append) as host:
        for path in ("/greet/demo?ticket=secret", "/missing", "/broken", "/stream", "/health", "/greet/" + "x" * 300):
            await host.http.get(path)

    assert lines.pop(0).startswith("POST    /client  200")
    shown = [re.sub(r"\d+(\.\d)? (ms|s)\b", r"N \2", line) for line in lines]
    assert shown[:4] == [
        "GET     /greet/demo  201  N ms  session demo",
        "GET     /missing  404  N ms",
        "GET     /broken  500  N ms",
        "GET     /stream  200  stream of 2.0 KB in N s",
    ]
    assert len(shown) == 5
    assert shown[4].split("  201")[0].endswith("x…")


async def test_a_status_is_coloured_unless_no_colour_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    lines: list[str] = []

    async with running_host(Greeter(), tmp_path, print_request=lines.append) as host:
        await host.http.get("/missing")

    assert "\x1b[33m404\x1b[0m" in lines[-1]
    assert "  404  " in _COLOUR.sub("", lines[-1])


@pytest.mark.parametrize("is_terminal", [True, False])
def test_lines_are_printed_on_a_terminal_only(tmp_path: Path, is_terminal: bool) -> None:
    reading, writing = pty.openpty() if is_terminal else os.pipe()
    command = [sys.executable, "-m", "turnlog.local.host", "--port", "0", "--data-dir", str(tmp_path)]
    host = subprocess.Popen(command, stdout=writing, cwd=_ROOT, stdin=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading, encoding="utf-8", errors="replace") as output:
            url = next(line.split()[-1] for line in output if line.startswith("listening on "))
            subprocess.run(["curl", "-s", "-X", "POST", f"{url}/sessions"], check=True, capture_output=True, timeout=60)
            host.send_signal(signal.SIGINT)
            seen: list[str] = []
            with suppress(OSError):  # how a terminal says that its program has ended
                seen += output
    finally:
        host.kill()
        host.wait()

    assert any("/sessions" in line and "201" in line for line in seen) == is_terminal
