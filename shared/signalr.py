"""Azure SignalR Service by its REST API: who may hear which groups. See `shared.ports.GroupHub`.

Sending is left to the output binding of the function that reads the change feed.
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

from shared.domain.errors import FanoutUnavailableError
from shared.ports import Connection

_VERSION = "2024-12-01"
_SCOPE = "https://signalr.azure.com/.default"
_TOKEN_MINUTES = 5
# Longer than a token is good for: who connects with one that is about to expire must still be let into its groups.
_MEMBER_SECONDS = 2 * 60 * _TOKEN_MINUTES
_PATIENCE = timedelta(seconds=10)
_ROLE = "give the app's identity the role 'SignalR Service Owner' on it, and let its network rules admit the app"


class SignalRHub:
    """One hub of a service in serverless mode. Its client opens on the loop that first needs it; close it there.

    A call and its retries take at most `patience`.
    """

    def __init__(self, endpoint: str, hub: str, patience: timedelta = _PATIENCE) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._hub = hub.lower()  # as the service's own SDKs send it
        self._patience = patience.total_seconds()
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] | None = None
        self._opening = asyncio.Lock()
        self._resources = AsyncExitStack()

    async def admit(self, groups: Sequence[str]) -> Connection:
        # A user of its own for each connection, made here: nothing that a caller sends takes part in who it is, and
        # no connection inherits what another one was let into. The service knows a connection only once it is open,
        # so its user is put into the groups before.
        watcher = secrets.token_hex(16)
        for group in groups:
            path = f"users/{watcher}/groups/{quote(group, safe='')}"
            await self._call("PUT", path, {"ttl": _MEMBER_SECONDS})
        token = await self._call("POST", ":generateToken", {"userId": watcher, "minutesToExpire": _TOKEN_MINUTES})
        return Connection(f"{self._endpoint}/client/?hub={self._hub}", token["token"])

    async def close(self) -> None:
        self._client = None
        await self._resources.aclose()

    async def _call(self, method: str, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        url = f"{self._endpoint}/api/hubs/{self._hub}/{path}"
        request = HttpRequest(method, url, params={**query, "api-version": _VERSION})
        try:
            # The SDK's own retries sleep for as long as an answer's `Retry-After` says.
            async with asyncio.timeout(self._patience):
                response = await (await self._opened()).send_request(request)
                response.raise_for_status()
        except (AzureError, TimeoutError) as error:
            raise _in_our_words(error) from error
        return response.json() if method == "POST" else {}

    async def _opened(self) -> AsyncPipelineClient[HttpRequest, AsyncHttpResponse]:
        async with self._opening:
            if self._client is None:
                self._client = await self._open()
        return self._client

    async def _open(self) -> AsyncPipelineClient[HttpRequest, AsyncHttpResponse]:
        policies: list[Any] = [AsyncRetryPolicy(retry_total=2, retry_backoff_factor=0.2)]
        if urlsplit(self._endpoint).hostname not in {"127.0.0.1", "localhost", "::1"}:  # a stand-in asks for no token
            # Imported where it is used: local runs and tests don't pay for it.
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415

            credential = await self._resources.enter_async_context(DefaultAzureCredential())
            policies.append(AsyncBearerTokenCredentialPolicy(credential, _SCOPE))
        client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            self._endpoint, policies=policies
        )
        return await self._resources.enter_async_context(client)


def _in_our_words(error: AzureError | TimeoutError) -> FanoutUnavailableError:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if isinstance(error, ClientAuthenticationError) or status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return FanoutUnavailableError(f"SignalR does not admit the app ({status or 'no identity'}): {_ROLE}.")
    return FanoutUnavailableError(f"SignalR doesn't answer ({status or type(error).__name__}): try again.")
