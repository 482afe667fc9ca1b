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

from tests.http.driving import ROOT

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0  # above the 30 that it leaves to open streams


@contextmanager
def core_tools(data_dir: Path) -> Generator[str]:
    """Serve the app with `func start` meanwhile; its URL."""
    port = _free_port()
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env = {**kept, "HOST_MODE": "func", "PORT": str(port), "DATA_DIR": str(data_dir), "MODEL": "fake-20-0"}
    with (data_dir / "func.log").open("w") as log:
        # A group of its own, so that the end reaches everything that it started.
        process = subprocess.Popen(
            [sys.executable, "-m", "local.run"],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(url, process, data_dir / "func.log")
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


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it is ready: it listens long before it has indexed the app."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(f"{url}/ready", timeout=10):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"func did not serve the app ({log}):\n{reason_in(log.read_text())}")


def reason_in(log: str) -> str:
    """Return the lines that name an error, which the last lines often hide, and the last lines."""
    lines = log.splitlines()
    errors = [line for line in lines if re.search(r"error|exception|cannot|refused|unavailable", line, re.IGNORECASE)]
    return "\n".join([*errors[:40], "...", *lines[-40:]])
