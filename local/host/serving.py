"""Puts the parts together: `serve` runs an app meanwhile, for the entry point and for tests alike."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azure.durable_functions.models.utils import http_utils
from azure.functions import FunctionRegister

from local.durable.engine import Engine
from local.durable.rpc import PREFIX, DurableRpc
from local.durable.taskhub import TaskHub
from local.host.index import Fed, Index, index_app
from local.host.invoke import Invoker
from local.host.options import Options
from local.host.timers import Timers
from local.host.web import HttpFunctions
from local.lock import locked
from local.sockets import bind, listening, url_of

if TYPE_CHECKING:
    from local.host.feeds import Feeds


@dataclass(frozen=True)
class Running:
    """A host that serves at `url`."""

    url: str
    index: Index


@asynccontextmanager
async def serve(app: FunctionRegister, options: Options, hurry: asyncio.Event | None = None) -> AsyncGenerator[Running]:
    """Serve `app` meanwhile; open requests may then end within `options.grace` seconds, or until `hurry` is set.

    Turns go on as long. What still runs is interrupted, and taken up by the next host on the same data.

    Raises:
        RefusedError: the app cannot be served.
        LockedError: another host uses the same data.
        AddressError: the address cannot be listened on.
    """
    found = index_app(app, options.route_prefix)
    async with AsyncExitStack() as stack:
        stack.enter_context(locked(options.data_dir))
        web, rpc = stack.enter_context(bind(options.host, options.port)), stack.enter_context(bind("127.0.0.1", 0))
        hub = TaskHub(options.data_dir / f"{options.task_hub}.taskhub.db")
        await hub.open()
        stack.push_async_callback(hub.close)
        stack.push_async_callback(_forget_client_session)
        invoker = Invoker(_client(options.task_hub, url_of(rpc)))
        stack.callback(invoker.close)
        timers, feeds = Timers(found.timers, invoker), _feeds(found.feeds, invoker)
        engine = Engine(found, hub, invoker, options.slots)
        rpc_app = DurableRpc(engine, hub, sorted(found.orchestrators), options.default_version)
        await stack.enter_async_context(listening(rpc_app, rpc, grace=0))
        stack.push_async_callback(engine.close)
        await engine.recover()
        await stack.enter_async_context(
            listening(HttpFunctions(found.routes, invoker, options.cors), web, options.grace, hurry)
        )
        for each in (timers, *feeds):
            stack.push_async_callback(each.stop)
            each.start()
        yield Running(url_of(web), found)


def _feeds(feeds: Sequence[Fed], invoker: Invoker) -> list["Feeds"]:
    if not feeds:
        return []
    from local.host.feeds import Feeds  # noqa: PLC0415 - the SDK of Cosmos DB costs a quarter of a second

    return [Feeds(feeds, invoker)]


def _client(task_hub: str, rpc_url: str) -> str:
    """Return what the real host gives to a durable client binding; it has no URLs for the world, so nor has this."""
    urls = {"taskHubName": task_hub, "creationUrls": {}, "managementUrls": {"id": "INSTANCEID"}}
    return json.dumps({**urls, "rpcBaseUrl": rpc_url + PREFIX})


async def _forget_client_session() -> None:
    """Close the HTTP session that the SDK keeps for ever: it belongs to this event loop, and another may follow."""
    await http_utils._close_session()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    http_utils._session_lock = asyncio.Lock()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
