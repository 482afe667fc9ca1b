"""Runs a real server on a free port, which tests kill and start again."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]


class Server:
    """A server with its own data; `url` stays the same over restarts."""

    def __init__(self, data_dir: Path, settings: dict[str, str]) -> None:
        self.url = ""
        self._data_dir = data_dir
        self._settings = settings
        self._port = "0"
        self._process: subprocess.Popen[str] | None = None

    @classmethod
    @contextmanager
    def started(cls, **settings: str) -> Generator["Server"]:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            server = cls(Path(folder), settings)
            try:
                server.restart()
                yield server
            finally:
                server.kill()

    def restart(self) -> None:
        """Start the server, after a kill on the same data and port; it listens at the return."""
        command = ["-m", "turnlog.local.host", "--port", self._port, "--data-dir", str(self._data_dir), "--grace", "1"]
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        env = {**inherited, "LOG_LEVEL": "ERROR", **self._settings}
        self._process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("listening on "):
                self.url = line.removeprefix("listening on ").strip()
                self._port = self.url.rpartition(":")[2]
                return
        raise AssertionError("the server ended before it listened")

    def kill(self) -> None:
        """Kill the server like a crash (`kill -9`), and wait until it is gone."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None
