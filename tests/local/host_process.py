"""Runs the local host as a process, in a test."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass
class HostProcess:
    """A host that runs as a process; `banner` are the lines that it printed before its address."""

    url: str
    banner: list[str]
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """Kill it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def command(app_dir: Path, *arguments: str) -> list[str]:
    """Return the command that serves the app in `app_dir` on a free port."""
    return [sys.executable, "-m", "turnlog.local.host", "--app-dir", str(app_dir), "--port", "0", *arguments]


def environment(**more: str) -> dict[str, str]:
    """Return an environment without the settings of this process; a model endpoint is set."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**inherited, "PYTHONPATH": str(ROOT), "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", **more}


@contextmanager
def running_process(app_dir: Path, env: dict[str, str] | None = None, *arguments: str) -> Generator[HostProcess]:
    """Run a host until the body ends; it listens when the body begins."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command(app_dir, *arguments), stdout=pipe, stderr=pipe, text=True, env=env or environment()
    )
    try:
        banner: list[str] = []
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith("listening on "):
            banner.append(line)
            assert line, process.communicate()[1]
        yield HostProcess(line.removeprefix("listening on ").strip(), banner, process)
    finally:
        process.kill()
        process.communicate()
