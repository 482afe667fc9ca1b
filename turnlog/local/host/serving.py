"""Serves an app: puts the parts of the host together, for the entry point and for tests."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.durable_functions.models.utils import http_utils
from azure.functions import FunctionRegister
from starlette.types import ASGIApp

from turnlog.local.durable.engine import Engine
from turnlog.local.durable.rpc import DurableRpc, secret_prefix
from turnlog.local.durable.taskhub import TaskHub
from turnlog.local.host.functions import FeedFunction, Index
from turnlog.local.host.index import index_app
from turnlog.local.host.options import Options
from turnlog.local.host.request_lines import RequestLines
from turnlog.local.host.timers import Timers
from turnlog.local.host.web import HttpFunctions
from turnlog.local.lock import hold
from turnlog.local.push.sockets import Sockets
from turnlog.local.sockets import bind, serve_asgi, url_of

if TYPE_CHECKING:
    from turnlog.local.host.feeds import Feeds

_ROOMS = "stream"
"""The route of an app that serves rooms. Sockets push them."""


@dataclass(frozen=True)
class Running:
    """A host that serves at `url`.

    `drain` lets no activity begin any more. It returns once a turn waits for the next host because of that.
    """

    url: str
    index: Index
    drain: Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def serve(
    app: FunctionRegister, options: Options, stop_now: asyncio.Event | None = None
) -> AsyncGenerator[Running]:
    """Serve `app` while the body runs; then open requests get `options.grace` seconds, or until `stop_now` is set.

    Turns run on for the same time. Then all that still runs is interrupted; the next host on the same data resumes it.

    Raises:
        RefusedError: the app cannot be served.
        LockedError: another host uses the same data.
        AddressError: the address cannot be listened on.
    """
    async with AsyncExitStack() as stack:
        rpc = stack.enter_context(bind("127.0.0.1", 0))
        prefix = secret_prefix()
        index = index_app(app, options.route_prefix, _durable_client(options.task_hub, url_of(rpc) + prefix))
        stack.enter_context(hold(options.data_dir))
        web = stack.enter_context(bind(options.host, options.port))
        hub = TaskHub(options.data_dir / f"{options.task_hub}.taskhub.db")
        await hub.open()
        stack.push_async_callback(hub.close)
        stack.push_async_callback(_close_client_session)
        triggers = [Timers(index.timers), *_feeds(index.feeds)]
        engine = Engine(index, hub, options.slots)
        durable = DurableRpc(engine, hub, sorted(index.orchestrators), prefix)
        await stack.enter_async_context(serve_asgi(durable, rpc, grace=0))
        stack.push_async_callback(engine.close)
        await engine.recover()
        stack.push_async_callback(_finish, engine, options.grace, stop_now)
        http: ASGIApp = HttpFunctions(index.routes, options.cors, options.input_seconds)
        if options.print_request is not None:
            http = RequestLines(http, options.print_request)
        serves_rooms = any(route.template == _ROOMS for route in index.routes)
        if serves_rooms:
            http = sockets = Sockets(http)
            stack.push_async_callback(sockets.close)
        serving = serve_asgi(http, web, options.grace, stop_now, options.input_seconds, takes_websockets=serves_rooms)
        await stack.enter_async_context(serving)
        for each in triggers:
            stack.push_async_callback(each.stop)
            each.start()
        yield Running(url_of(web), index, engine.drain)


async def _finish(engine: Engine, grace: float, stop_now: asyncio.Event | None) -> None:
    """Let activities that run end, for the grace period, or until `stop_now` is set."""
    ended = asyncio.create_task(engine.finish())
    cut = asyncio.create_task((stop_now or asyncio.Event()).wait())
    await asyncio.wait([ended, cut], timeout=grace, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    cut.cancel()


def _feeds(feeds: Sequence[FeedFunction]) -> list["Feeds"]:
    if not feeds:
        return []
    from turnlog.local.host.feeds import Feeds  # noqa: PLC0415 - the SDK of Cosmos DB costs a quarter of a second

    return [Feeds(feeds)]


def _durable_client(task_hub: str, rpc_url: str) -> str:
    """Return what the real host gives to a durable client binding, without the public URLs: the app uses none."""
    urls = {"taskHubName": task_hub, "creationUrls": {}, "managementUrls": {"id": "INSTANCEID"}}
    return json.dumps({**urls, "rpcBaseUrl": rpc_url})


async def _close_client_session() -> None:
    """Close the HTTP session that the SDK never closes: it belongs to this event loop, and another loop may follow."""
    await http_utils._close_session()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    http_utils._session_lock = asyncio.Lock()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
