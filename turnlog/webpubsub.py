"""The clients of Azure Web PubSub, of both kinds: `turnlog.ports.SocketIo` and `turnlog.ports.WebSockets`.

How rooms map to groups, and events to messages: learn.microsoft.com/azure/azure-web-pubsub, "Socket.IO Serverless Mode
Specification".
"""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest
from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient

from turnlog.domain.errors import PushUnavailableError
from turnlog.ports import SocketIoConnection

_API_VERSION = "2024-12-01"
_TOKEN_MINUTES = 5
_TIMEOUT = timedelta(seconds=10)
_TEXT = "text/plain"
_HOW_TO_ADMIT = (
    "give the app's identity the role 'Web PubSub Service Owner' on it, and let its network rules admit the app"
)


class _Service:
    """A client of one hub. It opens on the loop that first uses it; close it there.

    A call takes at most `timeout`, with its retries.
    """

    def __init__(self, endpoint: str, hub: str, timeout: timedelta = _TIMEOUT) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._hub = hub
        self._timeout = timeout.total_seconds()
        self._client: WebPubSubServiceClient | None = None
        self._opening = asyncio.Lock()
        self._resources = AsyncExitStack()

    async def close(self) -> None:
        self._client = None
        await self._resources.aclose()

    @asynccontextmanager
    async def _calling(self) -> AsyncGenerator[WebPubSubServiceClient]:
        """The client, for one call. Its errors are translated."""
        try:
            # Without this limit, the SDK's retries sleep for as long as an answer's `Retry-After` says.
            async with asyncio.timeout(self._timeout):
                async with self._opening:
                    if self._client is None:
                        self._client = await self._open()
                yield self._client
        except (AzureError, TimeoutError) as error:
            raise _translated(error) from error

    async def _open(self) -> WebPubSubServiceClient:
        options: dict[str, Any] = {"retry_total": 2, "retry_backoff_factor": 0.2, "api_version": _API_VERSION}
        # Imported only here: local runs and tests start without it.
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

        credential = await self._resources.enter_async_context(DefaultAzureCredential())
        if urlsplit(self._endpoint).hostname in {"127.0.0.1", "localhost", "::1"}:  # a test server needs no token
            options["authentication_policy"] = SansIOHTTPPolicy[Any, Any]()
        client = WebPubSubServiceClient(self._endpoint, self._hub, credential, **options)
        return await self._resources.enter_async_context(client)


class SocketIoService(_Service):
    """A hub of Web PubSub for Socket.IO in serverless mode. Only its default namespace is used."""

    async def admit(self, user: str) -> SocketIoConnection:
        async with self._calling() as client:
            granted = await client.get_client_access_token(
                user_id=user, minutes_to_expire=_TOKEN_MINUTES, client_protocol="SocketIO"
            )
        return SocketIoConnection(self._endpoint, f"/clients/socketio/hubs/{self._hub}", granted["token"])

    async def user_of(self, socket_id: str) -> str | None:
        async with self._calling() as client:
            async for member in client.list_connections(group=_group(socket_id), top=1):
                return member.user_id
        return None

    async def join(self, socket_id: str, room: str) -> None:
        await self._change_groups(":addToGroups", socket_id, room)

    async def leave(self, socket_id: str, room: str) -> None:
        await self._change_groups(":removeFromGroups", socket_id, room)

    async def clear(self, room: str) -> None:
        await self._change_groups(":removeFromGroups", room, room)

    async def send(self, room: str, name: str, data: str) -> None:
        message = f"42[{json.dumps(name)},{data}]"  # Engine.IO: a message; Socket.IO: an event of the default namespace
        async with self._calling() as client:
            await _send(client, _group(room), message)

    async def _change_groups(self, action: str, members: str, room: str) -> None:
        """Add what is in the room `members` to `room`, or remove it. A socket is alone in the room of its id."""
        request = HttpRequest(
            "POST",
            f"{self._endpoint}/api/hubs/{self._hub}/{action}",
            params={"api-version": _API_VERSION},
            json={"filter": f"'{_group(members)}' in groups", "groups": [_group(room)]},
        )
        async with self._calling() as client:
            response = await client.send_request(request)  # the SDK has no method for it
            response.raise_for_status()


class WebSocketService(_Service):
    """A hub of Web PubSub. Clients only receive: their tokens have no roles."""

    async def admit(self, group: str) -> str:
        async with self._calling() as client:
            granted = await client.get_client_access_token(
                user_id=secrets.token_hex(16), minutes_to_expire=_TOKEN_MINUTES, groups=[group]
            )
        return granted["url"]

    async def send(self, group: str, text: str) -> None:
        async with self._calling() as client:
            await _send(client, group, text)


async def _send(client: Any, group: str, text: str) -> None:
    # As bytes: of text, the SDK sends as many bytes as it has characters.
    await client.send_to_group(group, text.encode(), content_type=_TEXT)


def _group(room: str) -> str:
    """The group of a room of the default namespace."""
    return f"0~{_base64url('/')}~{_base64url(room)}"


def _base64url(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _translated(error: AzureError | TimeoutError) -> PushUnavailableError:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if isinstance(error, ClientAuthenticationError) or status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return PushUnavailableError(f"Web PubSub does not admit the app ({status or 'no identity'}): {_HOW_TO_ADMIT}.")
    return PushUnavailableError(f"Web PubSub does not answer ({status or type(error).__name__}): try again.")
