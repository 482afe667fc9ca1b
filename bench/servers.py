"""The processes that are measured: the scripted model server and the local host."""

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from turnlog.local.model.launch import LISTENING_ON
from turnlog.settings import Settings

ROOT = Path(__file__).parents[1]
PROC = Path("/proc")
MODEL = "fake-50-0"
_START_SECONDS = 30


class StartError(Exception):
    """A process ended or printed nothing, instead of listening."""


@dataclass(frozen=True)
class Server:
    """A running server. By `time.perf_counter`, its process began at `started` and listened at `ready`."""

    url: str
    process: Process
    started: float
    ready: float

    @property
    def origin(self) -> str:
        """The URL without a path."""
        return "/".join(self.url.split("/", 3)[:3])

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process.returncode is None:
            self.process.kill()

    def cpu_seconds(self) -> float | None:
        """Return the processor time of all its threads; None if the system has no /proc."""
        return _cpu_seconds(PROC / str(self.process.pid) / "stat")

    def main_thread_seconds(self) -> float | None:
        """Return the processor time of the thread that runs the event loop; None if the system has no /proc."""
        return _cpu_seconds(PROC / str(self.process.pid) / "task" / str(self.process.pid) / "stat")

    def memory_bytes(self) -> int | None:
        """Return its resident memory; None if the system has no /proc."""
        if not PROC.is_dir():
            return None
        pages = (PROC / str(self.process.pid) / "statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _cpu_seconds(stat: Path) -> float | None:
    if not PROC.is_dir():
        return None
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def environment(model_url: str = "") -> dict[str, str]:
    """Return this environment with the app's settings at their defaults, except the model at `model_url`.

    An empty setting counts as not set, and wins over local.settings.json.
    """
    unset = {name.upper(): "" for name in Settings.model_fields}
    given = {"OPENAI_BASE_URL": model_url, "OPENAI_API_KEY": "unused", "MODEL": MODEL}
    inherited = {name: value for name, value in os.environ.items() if name != "LOG_LEVEL"}
    return {**inherited, **unset, **given, "PYTHONPATH": str(ROOT)}


@asynccontextmanager
async def model_server() -> AsyncGenerator[Server]:
    """Run the scripted model server while the body runs."""
    async with spawned(environment(), *_python("turnlog.local.model"), "--port", "0", "--exit-on-stdin-eof") as server:
        yield server


@asynccontextmanager
async def host(model_url: str, data_dir: Path, samples: Path | None = None) -> AsyncGenerator[Server]:
    """Run the local host while the body runs; without a `model_url` it starts its own model, as `make run` does.

    With `samples` it is `bench.sampled_host`, which writes that file.
    """
    module = "turnlog.local.host" if samples is None else "bench.sampled_host"
    options = ("--host", "127.0.0.1", "--port", "0", "--data-dir", str(data_dir), "--grace", "1")
    env = environment(model_url) | ({} if samples is None else {"BENCH_SAMPLES": str(samples)})
    async with spawned(env, *_python(module), *options) as server:
        yield server


@asynccontextmanager
async def spawned(env: dict[str, str], *command: str) -> AsyncGenerator[Server]:
    """Run a server that prints `listening on` and its URL, while the body runs.

    Raises:
        StartError: it ended before.
    """
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, cwd=ROOT, env=env)
    try:
        url = await _wait_for_url(process, " ".join(command[:3]))
        yield Server(url, process, started, time.perf_counter())
    finally:
        await end(process)


def _python(module: str) -> tuple[str, str, str]:
    return sys.executable, "-m", module


async def _wait_for_url(process: Process, name: str) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(_START_SECONDS):
        async for line in process.stdout:
            if line.startswith(LISTENING_ON.encode()):
                return line.decode().removeprefix(LISTENING_ON).strip()
    raise StartError(f"{name} ended before it listened")


async def end(process: Process) -> None:
    """End `process`: first by SIGTERM, so that it can end its own children, then by SIGKILL."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(3):
                await process.wait()
    finally:  # also if the measurement is cancelled again
        if process.returncode is None:
            process.kill()
    await process.wait()
