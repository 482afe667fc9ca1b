"""Runs the command `turnlog` as a process, with pipes or in a terminal."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SOURCE = str(Path(__file__).parents[1] / "src")


def run(*arguments: str, typed: str = "", timeout: float = 120, **env: str) -> subprocess.CompletedProcess[str]:
    whole, env = command(*arguments), environment(**env)
    return subprocess.run(whole, check=False, input=typed, capture_output=True, text=True, timeout=timeout, env=env)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "turnlog_client", *arguments]


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([SOURCE, more.pop("PYTHONPATH", "")])
    return {"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **more}


class Terminal:
    """A command in a terminal; `output` is what it has written."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.output = ""
        self.process = process
        self._descriptor = descriptor

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def interrupt(self) -> None:
        """Do what Ctrl+C does in a terminal."""
        self.process.send_signal(signal.SIGINT)

    def wait_for(self, pattern: str) -> str:
        """Wait until the output that nobody has waited for has `pattern`; return it up to there."""
        while not (found := re.search(pattern, self.output)):
            try:
                piece = os.read(self._descriptor, 65536)
            except OSError:  # the end of a terminal
                piece = b""
            assert piece, f"ended without {pattern!r}: {self.output}"
            self.output += piece.decode("utf-8", "replace")
        shown, self.output = self.output[: found.end()], self.output[found.end() :]
        return shown


@contextmanager
def in_terminal(*arguments: str, **env: str) -> Generator[Terminal]:
    ours, its = pty.openpty()
    process = subprocess.Popen(
        command(*arguments),
        stdin=its,
        stdout=its,
        stderr=its,
        env=environment(TERM="xterm", **env),
    )
    os.close(its)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
