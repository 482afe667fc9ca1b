"""The whole Durable extension: the local host's engine. Its orchestrators and activities run on the worker.

It runs in a thread with its own loop, because the real host is another process: while its loop waits for an episode,
the worker's loop runs it.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal
from azure.functions import OrchestrationContext

from tests.worker.host.driver import Message, Worker
from tests.worker.host.extension import client_binding
from turnlog.local.durable.engine import Engine
from turnlog.local.durable.rpc import DurableRpc, secret_prefix
from turnlog.local.durable.taskhub import TaskHub
from turnlog.local.host.functions import Function, Index
from turnlog.local.sockets import bind, serve_asgi, url_of

_SLOTS = 50
_EPISODE_SECONDS = 30.0


@asynccontextmanager
async def durable_engine(worker: Worker, data_dir: Path) -> AsyncGenerator[str]:
    """Run every instance while the context is open; yield the binding for a durable client."""
    index = _Remote(worker, asyncio.get_running_loop()).index()
    stack = ExitStack()
    portal = stack.enter_context(start_blocking_portal())
    engine = portal.wrap_async_context_manager(_engine(index, data_dir))
    url = await asyncio.to_thread(stack.enter_context, engine)
    try:
        yield client_binding(url)
    finally:
        await asyncio.to_thread(stack.close)  # it may wait for an episode, which runs in this loop


@asynccontextmanager
async def _engine(index: Index, data_dir: Path) -> AsyncGenerator[str]:
    async with AsyncExitStack() as stack:
        rpc = stack.enter_context(bind("127.0.0.1", 0))
        hub = TaskHub(data_dir / "worker.taskhub.db")
        await hub.open()
        stack.push_async_callback(hub.close)
        engine = Engine(index, hub, _SLOTS)
        prefix = secret_prefix()
        durable = DurableRpc(engine, hub, list(index.orchestrators), prefix)
        await stack.enter_async_context(serve_asgi(durable, rpc, grace=0))
        stack.push_async_callback(engine.close)
        yield url_of(rpc) + prefix


class _Remote:
    """The worker's functions, for calls from the engine's thread."""

    def __init__(self, worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
        self._worker = worker
        self._loop = loop

    def index(self) -> Index:
        """The durable functions, by name."""
        index = Index()
        for name, function in self._worker.functions.items():
            match function.trigger["type"]:
                case "orchestrationTrigger":
                    index.orchestrators[name] = self._orchestrator(name)
                case "activityTrigger":
                    run = partial(self._activity, name)
                    index.activities[name] = Function(name, run, trigger="value")
                case _:
                    pass
        return index

    def _orchestrator(self, name: str) -> Callable[[OrchestrationContext], str]:
        def episode(context: OrchestrationContext) -> str:
            invoked = self._worker.invoke(name, Message(string=context.body))
            return json.dumps(asyncio.run_coroutine_threadsafe(invoked, self._loop).result(_EPISODE_SECONDS))

        return episode

    async def _activity(self, name: str, value: Any) -> Any:
        invoked = self._worker.invoke(name, Message(string=json.dumps(value)))
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(invoked, self._loop))
