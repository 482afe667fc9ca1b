"""Turns of the real app on the Cosmos DB store, and the requests of each turn."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.client import Connection, connected
from bench.cost.requests import ROOT, Request, record
from bench.load_driver import open_session, start_turn
from bench.servers import environment, model_server
from tests.contract.stores import CosmosDatabase, cosmos_database, cosmos_endpoint
from turnlog.domain.ids import SessionId, bound_id
from turnlog.local.host.index import load
from turnlog.local.host.options import PLATFORM_SETTINGS, options_of
from turnlog.local.host.serving import serve
from turnlog.ports import SessionLog
from turnlog.services.log.stream import follow_events
from turnlog.stores import cosmos

_TURN_SECONDS = 60


@dataclass(frozen=True)
class Shape:
    """A kind of turn: its content and scripted model, and how many tokens of text the answer has."""

    title: str
    model: str
    tokens: int
    content: str = "Tell me something."


SHAPES = {
    "short": Shape("50 tokens, all at once", "fake-50-0", 50),
    "long": Shape("1 000 tokens, 50 a second", "fake-1000-20", 1000),
    "tools": Shape(
        "3 steps: 2 tools, 1 tool, 50 tokens",
        "fake-50-20",
        50,
        'call calculate {"expression": "6*7"} and call calculate {"expression": "6*8"},'
        ' then call calculate {"expression": "2*2"}',
    ),
}


@dataclass(frozen=True)
class Turn:
    """The requests of a turn to the store: its `own`, and those of one reader in another process; and its duration.

    `before` are the requests that opened its session: they wrote items that the turn replaces.
    """

    before: Sequence[Request]
    own: Sequence[Request]
    reading: Sequence[Request]
    seconds: float

    @property
    def all(self) -> Sequence[Request]:
        """What was sent for the session."""
        return [*self.before, *self.own, *self.reading]

    @property
    def flushes(self) -> Sequence[Request]:
        return [request for request in self.own if request.is_flush]

    @property
    def others(self) -> Sequence[Request]:
        return [request for request in self.own if not request.is_flush]


@dataclass(frozen=True)
class App:
    """The running app: a connection to it, and its log as another process opens it."""

    caller: Connection
    other_log: SessionLog

    async def run(self, shape: Shape) -> Turn:
        """Run a turn in a new session, read by one reader from its first event to its last."""
        with record() as requests:
            name = await open_session(self.caller)
            session_id = bound_id("local", name)
            opening, began = len(requests), time.perf_counter()
            await start_turn(self.caller, name, shape.model, shape.content)
            async with asyncio.timeout(_TURN_SECONDS):
                await _read(self.other_log, session_id)
            await asyncio.sleep(0.5)  # an activity may send requests after its last append
        own = [request for request in requests[opening:] if request.session_id == session_id]
        return Turn(
            before=requests[:opening],
            own=[request for request in own if not _has_caller(request, "bench/", "turnlog/services/turns/repair.py")],
            reading=[request for request in own if _has_caller(request, "bench/")],
            seconds=time.perf_counter() - began - 0.5,
        )


@asynccontextmanager
async def serve_app() -> AsyncGenerator[App]:
    """Serve the app in this process while the body runs, with the timings of the cloud, on a Cosmos DB server.

    The server is `COSMOS_TEST_ENDPOINT`, or else the tests' own. Call this once in a process: the app reads its
    environment, and can be indexed, only once.
    """
    with cosmos_endpoint() as endpoint, TemporaryDirectory(prefix="turnlog-cost-") as data_dir:
        async with cosmos_database(endpoint) as store, model_server() as model:
            assert isinstance(store, CosmosDatabase)
            given = {"COSMOS_ENDPOINT": endpoint, "COSMOS_DATABASE": store.name, "DATA_DIR": data_dir}
            given["COSMOS__accountEndpoint"] = endpoint  # the change-feed trigger's
            os.environ.update({**environment(model.url), **PLATFORM_SETTINGS, **given})
            options = options_of(ROOT, "127.0.0.1", 0, Path(data_dir))
            async with serve(load(ROOT), options) as running, connected(running.url) as caller:
                other_log = cosmos.open_stores(endpoint, store.name).log
                try:
                    yield App(caller, other_log)
                finally:
                    await other_log.close()
                    await _close_services()


async def _close_services() -> None:
    from turnlog.wiring import services  # noqa: PLC0415  # built from the environment that is set above

    await services().log.close()


async def _read(log: SessionLog, session_id: SessionId) -> None:
    """Follow the session as a stream does, until its turn has ended."""
    async with aclosing(follow_events(log, session_id, 0, timedelta(seconds=15))) as batches:
        async for events in batches:
            if any(event.type == "run.complete" for event in events):
                return


def _has_caller(request: Request, *paths: str) -> bool:
    return any(line.startswith(paths) for line in request.callers)
