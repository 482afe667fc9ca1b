"""A host that is killed again and again, and one scripted model server that is not."""

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.http.api_client import ROOT
from turnlog.local.durable.history import Kind

TIMEOUT = 90.0
"""Seconds after which an expected state will not come any more. Nothing is measured with it."""

_SAYS = "listening on "
_RAISED = re.compile(r"[\w.]*(?:Error|Exception)\b")


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """An environment without this process's own settings."""
    return {**{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}, **more}


@contextmanager
def model_server() -> Generator[str]:
    """Run the scripted model server while the body runs; its base URL."""
    command = [sys.executable, "-m", "turnlog.local.model", "--port", "0", "--exit-on-stdin-eof"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, env=_environment({})) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(_SAYS), f"the model server ended with {process.wait()}"
        try:
            yield line.removeprefix(_SAYS).strip()
        finally:
            process.kill()


@dataclass
class KillableHost:
    """A host on `data_dir` that tests start and kill. `kill_times` are when it ended, by the events' clock."""

    data_dir: Path
    model_url: str
    module: str = "turnlog.local.host"
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    grace: int = 1
    kill_times: list[float] = field(default_factory=list[float])
    url: str = ""
    process: asyncio.subprocess.Process | None = None
    _up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def log(self) -> Path:
        return self.data_dir / "host.log"

    async def spawn(self) -> None:
        """Start its process, without waiting until it serves."""
        settings = {
            "MODEL": "fake-40-10",
            "OPENAI_BASE_URL": self.model_url,
            "OPENAI_API_KEY": "unused",
            "LOG_LEVEL": "WARNING",
        }
        with self.log.open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", self.module, "--port", "0", "--data-dir", str(self.data_dir)),
                *("--grace", str(self.grace)),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment({**settings, **self.env}),
            )

    async def start(self) -> None:
        """Start it, and return once it serves."""
        await self.spawn()
        assert self.process is not None
        assert self.process.stdout is not None
        line = ""
        while not line.startswith(_SAYS):
            line = (await self.process.stdout.readline()).decode()
            assert line, f"the host ended with {await self.process.wait()}: {self.log.read_text()[-2000:]}"
        self.url = line.removeprefix(_SAYS).strip()
        self._up.set()

    async def wait_for_url(self) -> str:
        """Wait until it serves; its URL."""
        await self._up.wait()
        return self.url

    def break_instances(self) -> None:
        """While it does not run: let every instance fail when it continues."""
        (hub,) = self.data_dir.glob("*.taskhub.db")
        with closing(sqlite3.connect(hub)) as connection, connection:
            for instance, episode, text in connection.execute("SELECT instance, episode, events FROM history"):
                events = json.loads(text)
                for event in events:
                    if event["EventType"] == Kind.EXECUTION_STARTED:
                        event["Name"] = "unknown"
                key = (json.dumps(events), instance, episode)
                connection.execute("UPDATE history SET events = ? WHERE instance = ? AND episode = ?", key)

    async def kill(self) -> None:
        """Kill it as a crash would."""
        assert self.process is not None
        self.process.kill()
        await self.wait_for_kill()

    async def replace(self) -> None:
        """Replace it as a deployment does: its streams continue for the grace period, then another host starts."""
        assert self.process is not None
        self._up.clear()  # new requests wait for the next host
        self.process.terminate()
        await self._ended(0)
        await self.start()

    async def wait_for_kill(self) -> None:
        """Wait until it is killed."""
        await self._ended(-9)

    async def _ended(self, code: int) -> None:
        assert self.process is not None
        async with asyncio.timeout(TIMEOUT):
            assert await self.process.wait() == code
        self._up.clear()
        # Everything it recorded is earlier than this, everything its successor records is later.
        self.kill_times.append(time.time())


@asynccontextmanager
async def running_host(host: KillableHost) -> AsyncGenerator[KillableHost]:
    """Serve `host` while the body runs. At the end it is stopped, and its log must hold no unexpected error."""
    await host.start()
    try:
        yield host
    finally:
        if host.process is not None and host.process.returncode is None:
            host.process.kill()
            await host.process.wait()
    # A broken instance ends with this error; the sweep hands its turn over.
    raised = {line for line in host.log.read_text().splitlines() if _RAISED.match(line)}
    assert not {line for line in raised if not line.startswith("LookupError: the orchestrator")}, raised
