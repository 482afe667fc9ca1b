"""Serves an app on the local host, inside a test."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import httpx2
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.local.host.options import Options
from turnlog.local.host.serving import serve

_instance_numbers = count(1)


class App(df.DFApp):
    """An app that keeps the durable client that it gets at `POST /client`, for the test to use."""

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
    """A running host, used over HTTP and through the durable client of its app."""

    http: httpx2.AsyncClient
    durable: Any

    async def wait_for_end(self, instance_id: str) -> Any:
        """Wait until the instance has ended and return its status."""
        return await wait_until(
            lambda: self.durable.get_status(instance_id), lambda status: status.runtime_status.name != "Running"
        )

    async def run(self, name: str, payload: Any = None) -> Any:
        """Run an orchestrator to its end and return its status."""
        return await self.wait_for_end(
            await self.durable.start_new(name, f"instance-{next(_instance_numbers)}", payload)
        )


async def wait_until(read: Callable[[], Awaitable[Any]], condition: Callable[[Any], bool] = bool) -> Any:
    """Read again and again until the value fulfils the condition; return the value."""
    async with asyncio.timeout(60):
        while not condition(value := await read()):  # noqa: ASYNC110 - a host sends no notice of a change
            await asyncio.sleep(0.005)
        return value


@asynccontextmanager
async def running_host(app: App, data_dir: Path, **options: Any) -> AsyncGenerator[Host]:
    """Serve `app` with its data in `data_dir` while the body runs."""
    settings = replace(Options(data_dir=data_dir, port=0, route_prefix="", grace=0.05), **options)
    async with (
        serve(app, settings) as running,
        httpx2.AsyncClient(base_url=running.url, timeout=60, verify=False) as http,
    ):
        await http.post(f"/{settings.route_prefix}/client".replace("//", "/"))
        yield Host(http, app.clients[-1])
