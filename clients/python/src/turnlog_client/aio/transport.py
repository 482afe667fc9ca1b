"""HTTP requests of the async client, as those of `turnlog_client.transport`."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx2

from turnlog_client.errors import NetworkError, TurnlogError, problem_of
from turnlog_client.protocol.readers import Item, StreamReader
from turnlog_client.protocol.requests import Answer, Request
from turnlog_client.protocol.tries import Tries, answer_of, headers_of
from turnlog_client.transport import ANSWER_SECONDS, CONNECT_SECONDS

AsyncToken: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A bearer token, or what returns a valid one. It is asked before each request and connection."""


@dataclass(frozen=True)
class AsyncTransport:
    """Sends the requests of one client."""

    http: httpx2.AsyncClient
    base_url: str
    token: AsyncToken | None
    max_tries: int

    async def send(self, request: Request[Answer]) -> Answer:
        """Send a request, again if its answer is lost or the service is busy; return its answer.

        Raises:
            ProblemError: the service refuses.
            NetworkError: it can't be reached.
        """
        tries = Tries(request, self.max_tries)
        while True:
            try:
                async with self.open(request, ANSWER_SECONDS + request.wait) as response:
                    content_type = response.headers.get("content-type", "")
                    answer = answer_of(response.status_code, content_type, await response.aread())
                return request.read(answer)
            except TurnlogError as error:
                if tries.has_succeeded(error):
                    return request.read(None)
                await asyncio.sleep(tries.wait_after(error))

    async def read(self, reader: StreamReader[Item]) -> AsyncGenerator[Item]:
        """Yield what a stream brings, over as many connections as it takes."""
        while not reader.is_over:
            try:
                async with self.open(reader.request(), reader.max_silence) as response:
                    reader.open(response.status_code, response.headers.get("content-type", ""))
                    if reader.is_over:
                        return
                    async for data in response.aiter_bytes():
                        for item in reader.read(data):
                            yield item
                        if reader.is_over:
                            return
                pause = reader.close()
            except TurnlogError as error:
                pause = reader.fail(error)
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def open(self, request: Request[Any], silence: float) -> AsyncGenerator[httpx2.Response]:
        """Send a request once. Its response, whose body is not read yet, ends with the context.

        Raises:
            ProblemError: the service refuses.
            NetworkError: it can't be reached, or its answer breaks off, or it sends nothing for `silence` seconds.
        """
        try:
            response = await self._send(request, silence)
            if response.status_code == 401 and callable(self.token):
                await response.aclose()
                response = await self._send(request, silence)  # with a new token
            try:
                if response.status_code >= 300:
                    raise problem_of(
                        response.status_code, response.reason_phrase, response.headers, await response.aread()
                    )
                yield response
            finally:
                await response.aclose()
        except httpx2.RequestError as error:
            raise NetworkError(str(error) or type(error).__name__) from error

    async def _send(self, request: Request[Any], silence: float) -> httpx2.Response:
        token = self.token() if callable(self.token) else self.token
        if inspect.isawaitable(token):
            token = await token
        built = self.http.build_request(
            request.method,
            self.base_url + request.target,
            headers=headers_of(request, token),
            content=request.content,
            timeout=httpx2.Timeout(silence, connect=CONNECT_SECONDS),
        )
        return await self.http.send(built, stream=True)
