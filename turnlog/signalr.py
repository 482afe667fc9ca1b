"""The client of Azure SignalR Service (REST API): it puts watchers into groups. Implements `turnlog.ports.SignalR`.

Messages are not sent here: that is left to the output binding of the function that reads the change feed.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from azure.core import AsyncPipelineClient
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy, AsyncRetryPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from turnlog.domain.errors import PushUnavailableError
from turnlog.ports import Connection

_API_VERSION = "2024-12-01"
_SCOPE = "https://signalr.azure.com/.default"
_TOKEN_MINUTES = 5
# Twice as long as the token: a client may connect just before its token expires, and must still be in its groups then.
_MEMBERSHIP_SECONDS = 2 * 60 * _TOKEN_MINUTES
_TIMEOUT = timedelta(seconds=10)
_HOW_TO_ADMIT = (
    "give the app's identity the role 'SignalR Service Owner' on it, and let its network rules admit the app"
)


class SignalRClient:
    """A client of one hub, of a service in serverless mode. It opens on the loop that first uses it; close it there.

    A call takes at most `timeout`, with its retries.
    """

    def __init__(self, endpoint: str, hub: str, timeout: timedelta = _TIMEOUT) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._hub = hub.lower()  # the service's own SDKs also send it in lower case
        self._timeout = timeout.total_seconds()
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] | None = None
        self._opening = asyncio.Lock()
        self._resources = AsyncExitStack()

    async def admit(self, groups: Sequence[str]) -> Connection:
        # Every connection is a new user with a random name. Nothing that a caller sends becomes part of the name, and
        # no connection inherits the groups of another. The service knows a connection only once it is open, so the
        # user is put into the groups before that.
        user = secrets.token_hex(16)
        for group in groups:
            path = f"users/{user}/groups/{quote(group, safe='')}"
            await self._call("PUT", path, {"ttl": _MEMBERSHIP_SECONDS})
        token = await self._call("POST", ":generateToken", {"userId": user, "minutesToExpire": _TOKEN_MINUTES})
        return Connection(f"{self._endpoint}/client/?hub={self._hub}", token["token"])

    async def close(self) -> None:
        self._client = None
        await self._resources.aclose()

    async def _call(self, method: str, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        url = f"{self._endpoint}/api/hubs/{self._hub}/{path}"
        request = HttpRequest(method, url, params={**query, "api-version": _API_VERSION})
        try:
            # Without this limit, the SDK's retries sleep for as long as an answer's `Retry-After` says.
            async with asyncio.timeout(self._timeout):
                response = await (await self._opened_client()).send_request(request)
                response.raise_for_status()
        except (AzureError, TimeoutError) as error:
            raise _translated(error) from error
        return response.json() if method == "POST" else {}

    async def _opened_client(self) -> AsyncPipelineClient[HttpRequest, AsyncHttpResponse]:
        async with self._opening:
            if self._client is None:
                self._client = await self._open()
        return self._client

    async def _open(self) -> AsyncPipelineClient[HttpRequest, AsyncHttpResponse]:
        policies: list[Any] = [AsyncRetryPolicy(retry_total=2, retry_backoff_factor=0.2)]
        if urlsplit(self._endpoint).hostname not in {"127.0.0.1", "localhost", "::1"}:  # a test server needs no token
            # Imported only here: local runs and tests start without it.
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

            credential = await self._resources.enter_async_context(DefaultAzureCredential())
            policies.append(AsyncBearerTokenCredentialPolicy(credential, _SCOPE))
        client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            self._endpoint, policies=policies
        )
        return await self._resources.enter_async_context(client)


def _translated(error: AzureError | TimeoutError) -> PushUnavailableError:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if isinstance(error, ClientAuthenticationError) or status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return PushUnavailableError(f"SignalR does not admit the app ({status or 'no identity'}): {_HOW_TO_ADMIT}.")
    return PushUnavailableError(f"SignalR does not answer ({status or type(error).__name__}): try again.")
