"""The systems that are measured: how each is started, what a turn of it is, and what it promises."""

import asyncio
import json
import os
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.client import Connection, connected
from bench.load_driver import Timing, ask_model
from bench.peers import drivers
from bench.peers.environment import FOLDER, PYTHON, install_python, install_restate, restate_server
from bench.servers import Server, StartError, end, environment, host, spawned

Start = Callable[[Server, Path], AbstractAsyncContextManager[str]]

_START_SECONDS = 30


@dataclass(frozen=True)
class System:
    """`start` takes the model server and a new folder, and gives the origin; `run` runs a turn in a new session."""

    name: str
    start: Start
    run: Callable[[Connection, str], Awaitable[Timing]]
    install: tuple[Callable[[], None], ...]
    after_kill: str
    streams: str
    resumes: str


@asynccontextmanager
async def _start_nothing(model: Server, _: Path) -> AsyncGenerator[str]:
    yield model.origin


async def _ask_model(connection: Connection, _: str) -> Timing:
    return await ask_model(connection)


@asynccontextmanager
async def _start_agno(model: Server, folder: Path) -> AsyncGenerator[str]:
    silent = {"AGNO_TELEMETRY": "false"}
    command = (str(PYTHON), str(FOLDER / "apps/agno_app.py"), str(folder / "agno.db"))
    async with spawned(_environment(model) | silent, *command) as server:
        yield server.origin


@asynccontextmanager
async def _start_restate(model: Server, folder: Path) -> AsyncGenerator[str]:
    app = (str(PYTHON), str(FOLDER / "apps/restate_app.py"))
    async with spawned(_environment(model), *app) as service, _restate_server(folder) as (ingress, admin):
        async with connected(admin) as connection:
            await connection.ask("POST", "/deployments", {"uri": service.origin}, expect=201)
        yield ingress


@asynccontextmanager
async def _restate_server(folder: Path) -> AsyncGenerator[tuple[str, str]]:
    """Run the server of Restate on free ports; give the origins of its ingress and of its administration."""
    silent = {"RESTATE_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    log = folder / "restate.log"
    options = ["--no-logo", "--bind-ip", "127.0.0.1", "--use-random-ports", "true", "--listen-mode", "tcp"]
    options += ["--log-format", "json", "--base-dir", str(folder / "restate")]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            restate_server(), *options, stdin=DEVNULL, stdout=output, stderr=output, env=os.environ | silent
        )
    try:
        async with asyncio.timeout(_START_SECONDS):
            while len(ports := ports_in(log.read_text())) < 2:
                if process.returncode is not None:
                    raise StartError(f"restate-server ended before it listened: {log.read_text()[-500:]}")
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{ports['http-ingress-server']}", f"http://127.0.0.1:{ports['admin-api-server']}"
    finally:
        await end(process)


def ports_in(log: str) -> dict[str, int]:
    """Return the ports of ingress and administration that the log of Restate names until now."""
    ports: dict[str, int] = {}
    for line in log.splitlines(keepends=True):
        if line.endswith("}\n"):
            span: dict[str, Any] = json.loads(line).get("span", {})
            if span.get("server_name") in ("http-ingress-server", "admin-api-server"):
                ports[span["server_name"]] = span["server.port"]
    return ports


@asynccontextmanager
async def _start_turnlog(model: Server, folder: Path) -> AsyncGenerator[str]:
    async with host(model.url, folder) as server:
        yield server.origin


def _environment(model: Server) -> dict[str, str]:
    return {name: value for name, value in environment(model.url).items() if name != "PYTHONPATH"}


MODEL_ALONE = System("the model server alone", _start_nothing, _ask_model, (), "lost", "yes", "no")
TURNLOG = System(
    "Turnlog",
    _start_turnlog,
    drivers.run_turnlog,
    (),
    "continued by itself; the model is called again",
    "yes",
    "reads on from the log, also after a restart",
)
_AGNO = ("lost; its durable queue needs PostgreSQL or Redis", "yes")
_RESTATE = ("continued by itself; the model is called again", "no", "gets the whole answer at its end")
SYSTEMS = (
    MODEL_ALONE,
    System(
        "Agno AgentOS, in the request", _start_agno, drivers.run_agno, (install_python,), *_AGNO, "no: the run ended"
    ),
    System(
        "Agno AgentOS, in the background",
        _start_agno,
        drivers.run_agno_in_background,
        (install_python,),
        *_AGNO,
        "reads on from the memory of the process",
    ),
    System(
        "Restate, a model call without a stream",
        _start_restate,
        drivers.run_restate,
        (install_python, install_restate),
        *_RESTATE,
    ),
    System(
        "Restate, a model call with a stream",
        _start_restate,
        drivers.run_restate_on_stream,
        (install_python, install_restate),
        *_RESTATE,
    ),
    TURNLOG,
)
