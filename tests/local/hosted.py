"""Runs an app on the local host inside a test, and as a process of its own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import httpx2
from azurefunctions.extensions.http.fastapi import Request, Response

from local.host.options import Options
from local.host.serving import serve

ROOT = Path(__file__).parents[2]


class App(df.DFApp):
    """An app that gives away the durable client it is given at `POST /client`."""

    def __init__(self) -> None:
        super().__init__(http_auth_level=func.AuthLevel.ANONYMOUS)
        self.clients: list[Any] = []

        @self.route("client", methods=["POST"])
        @self.durable_client_input(client_name="client")
        async def give_client(req: Request, client: df.DurableOrchestrationClient) -> Response:
            self.clients.append(client)
            return Response()


@dataclass
class Host:
    """A running host, seen from outside: over HTTP, and through the durable client of its app."""

    http: httpx2.AsyncClient
    durable: Any

    async def ended(self, instance: str) -> Any:
        """Wait until `instance` has ended and return its status."""
        return await until(lambda: self._status(instance), lambda status: status.runtime_status.name != "Running")

    async def run(self, name: str, given: Any = None) -> Any:
        """Run an orchestrator to its end and return its status."""
        return await self.ended(await self.durable.start_new(name, None, given))

    async def events(self, instance: str) -> list[str]:
        """Return the types of the events that the instance's history shows."""
        return [event["EventType"] for event in (await self._status(instance)).historyEvents]

    async def _status(self, instance: str) -> Any:
        return await self.durable.get_status(instance, show_history=True, show_history_output=True)


async def until(look: Callable[[], Awaitable[Any]], good: Callable[[Any], bool] = bool) -> Any:
    """Look until what is seen is good."""
    async with asyncio.timeout(10):
        while not good(seen := await look()):  # noqa: ASYNC110 - a host tells nobody of a change
            await asyncio.sleep(0.005)
        return seen


@asynccontextmanager
async def hosted(app: App, data_dir: Path, **options: Any) -> AsyncGenerator[Host]:
    """Serve `app` with its data in `data_dir` meanwhile."""
    settings = replace(Options(data_dir=data_dir, port=0, route_prefix="", grace=0.05), **options)
    async with (
        serve(app, settings) as running,
        httpx2.AsyncClient(base_url=running.url, verify=False) as http,
    ):
        await http.post(f"/{settings.route_prefix}/client".replace("//", "/"))
        yield Host(http, app.clients[-1])


@dataclass
class Process:
    """A host that runs as a process of its own."""

    url: str
    said: list[str]
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """Kill it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> tuple[int, str]:
        """Ask it to stop; return its exit code and all that it said on stderr."""
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate()
        return self.process.returncode, errors


def command(app_dir: Path, *arguments: str) -> list[str]:
    """Return the command that serves the app in `app_dir` on a free port."""
    return [sys.executable, "-m", "local.host", "--app-dir", str(app_dir), "--port", "0", *arguments]


def environment(**more: str) -> dict[str, str]:
    """Return an environment without this one's settings, in which a model endpoint is set."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", **more}


@contextmanager
def spawned(app_dir: Path, env: dict[str, str] | None = None, *arguments: str) -> Generator[Process]:
    """Run a host meanwhile, from its line `listening on …`."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command(app_dir, *arguments), stdout=pipe, stderr=pipe, text=True, env=env or environment()
    )
    try:
        said: list[str] = []
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith("listening on "):
            said.append(line)
            assert line, process.communicate()[1]
        yield Process(line.removeprefix("listening on ").strip(), said, process)
    finally:
        process.kill()
        process.communicate()
