"""Runs `python -m turnlog.local.run`, or plain `func start`, on the stand-ins, and lists the processes of the run."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx2

SLOW_MODEL = "fake-60-20"  # 1.2 seconds of writing
_WAIT_SECONDS = 60.0
_MARK = "TURNLOG_TEST_RUN"


def _folder_of(program: str) -> str:
    found = shutil.which(program)
    assert found, f"{program} is not on the PATH"
    return str(Path(found).parent)


class Run:
    """One run of a command; all processes of the run carry its mark in their environment."""

    def __init__(self, command: list[str], app: Path, tools: Path, **environment: str) -> None:
        self.report_file = tools.parent / "report.jsonl"
        self.mark = f"{tools}:{time.monotonic_ns()}"
        self.process = subprocess.Popen(
            command,
            cwd=app,
            env={
                "PATH": os.pathsep.join([str(tools), _folder_of("node"), "/bin"]),
                "HOME": os.environ.get("HOME", ""),
                "STAND_IN_REPORT": str(self.report_file),
                _MARK: self.mark,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl+C in a terminal is a SIGINT to this whole group
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in iter(self.process.stdout.readline, ""):
            self.lines.append(line)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait_for(self, text: str) -> str:
        """Return the first line with `text`, as soon as it is printed."""
        until = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < until:
            for line in self.lines:
                if text in line:
                    return line
            assert self._reader.is_alive(), self.output
            time.sleep(0.02)
        raise AssertionError(f"{text!r} was not printed:\n{self.output}")

    def url(self) -> str:
        """Return the address, once the app answers there."""
        return self.wait_for("listening on http").removeprefix("listening on ").strip()

    def wait(self) -> int:
        """Return the exit code, after the command has ended and its output is read."""
        code = self.process.wait(_WAIT_SECONDS)
        self._reader.join(_WAIT_SECONDS)
        return code

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of `kind` that the stand-in reported."""
        if not self.report_file.exists():
            return []
        reports = [json.loads(line) for line in self.report_file.read_text().splitlines()]
        return [each for each in reports if each["event"] == kind]

    def left_running(self) -> list[str]:
        """Return the command lines of the run's processes that do not end in time."""
        until = time.monotonic() + _WAIT_SECONDS
        while (found := self._processes()) and time.monotonic() < until:
            time.sleep(0.05)
        return list(found.values())

    def _processes(self) -> dict[int, str]:
        found: dict[int, str] = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            try:
                if f"{_MARK}={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return {pid: command for pid, command in found.items() if command}

    def interrupt(self) -> None:
        """Send what Ctrl+C sends in a terminal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self, program: str) -> None:
        """Kill the process whose command line names `program`, as a crash would."""
        for pid, command in self._processes().items():
            if program in command and "process_group" not in command and "/sh" not in command.split()[0]:
                os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill the processes that are left, so that a failed test leaves none."""
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def running(command: list[str], app: Path, tools: Path, **environment: str) -> Generator[Run]:
    """Run `command` while the body runs."""
    run = Run(command, app, tools, **environment)
    try:
        yield run
    finally:
        run.end()


def run_turn(url: str) -> dict[str, Any]:
    """Post a message in a new session and return it after its turn."""
    with httpx2.Client(base_url=url, timeout=30) as http:
        session_id = http.post("/sessions").json()["session_id"]
        return http.post(f"/sessions/{session_id}/messages", json={"content": "Hello", "model": "fake-5-0"}).json()


@contextmanager
def occupied_ports(count: int, *ports: int) -> Generator[list[int]]:
    """Listen on `count` free ports and on the named ports while the body runs.

    A named port that is still in use after 10 s is left to the process that listens on it.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        for port in ports:
            until = time.monotonic() + 10
            while time.monotonic() < until:
                with suppress(OSError):
                    sockets.append(stack.enter_context(socket.create_server(("127.0.0.1", port))))
                    break
                time.sleep(0.1)
        yield [each.getsockname()[1] for each in sockets]


class StreamReader:
    """Reads a turn's stream on a thread, from its POST to its end."""

    def __init__(self, url: str, model: str = SLOW_MODEL) -> None:
        self._http = httpx2.Client(base_url=url, timeout=60)
        self._model = model
        self._pieces: list[str] = []
        self._has_piece = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._session_id = self._http.post("/sessions").json()["session_id"]
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def _run(self) -> None:
        body: dict[str, Any] = {"content": "Hello", "model": self._model}
        path, headers = f"/sessions/{self._session_id}/messages", {"accept": "text/event-stream"}
        try:
            with self._http.stream("POST", path, json=body, headers=headers) as response:
                for piece in response.iter_text():
                    with self._has_piece:
                        self._pieces.append(piece)
                        self._has_piece.notify_all()
        except httpx2.HTTPError:
            pass  # cut

    def wait_for(self, text: str) -> None:
        with self._has_piece:
            assert self._has_piece.wait_for(lambda: text in "".join(self._pieces), timeout=30), self._pieces

    def read(self) -> str:
        """Return everything that was sent, after the end of the stream."""
        self._thread.join(30)
        return "".join(self._pieces)
