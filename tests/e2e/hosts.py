"""Azure Functions Core Tools with Azurite, as `make run` starts them."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.http.api_client import ROOT

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0  # longer than the 30 s that it gives open streams


@contextmanager
def core_tools(data_dir: Path) -> Generator[str]:
    """Serve the app with `func start` while the context is open; yield its URL."""
    port = _free_port()
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env = {**inherited, "HOST_MODE": "func", "PORT": str(port), "DATA_DIR": str(data_dir), "MODEL": "fake-20-0"}
    with (data_dir / "func.log").open("w") as log:
        # An own process group, so that the signal at the end reaches all child processes.
        process = subprocess.Popen(
            [sys.executable, "-m", "turnlog.local.run"],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process, data_dir / "func.log")
            yield url
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the app is ready: the host listens long before it has indexed the app."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{url}/ready", timeout=10):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"func did not serve the app ({log}):\n{error_lines(log.read_text())}")


def error_lines(log: str) -> str:
    """Return the lines that name an error, then the last lines: what is logged later often hides the error."""
    lines = log.splitlines()
    errors = [line for line in lines if re.search(r"error|exception|cannot|refused|unavailable", line, re.IGNORECASE)]
    return "\n".join([*errors[:40], "...", *lines[-40:]])
