"""HTTP requests of the sync client: token, problems, retries that are safe, and streams that resume."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx2

from turnlog_client.errors import NetworkError, TurnlogError, problem_of
from turnlog_client.protocol.readers import Item, StreamReader
from turnlog_client.protocol.requests import Answer, Request
from turnlog_client.protocol.tries import Tries, answer_of, headers_of

Token: TypeAlias = str | Callable[[], str]
"""A bearer token, or what returns a valid one. It is asked before each request and connection."""

CONNECT_SECONDS = 10
ANSWER_SECONDS = 30
LIMITS = httpx2.Limits(max_connections=None)  # each open stream takes one


@dataclass(frozen=True)
class Transport:
    """Sends the requests of one client."""

    http: httpx2.Client
    base_url: str
    token: Token | None
    max_tries: int

    def send(self, request: Request[Answer]) -> Answer:
        """Send a request, again if its answer is lost or the service is busy; return its answer.

        Raises:
            ProblemError: the service refuses.
            NetworkError: it can't be reached.
        """
        tries = Tries(request, self.max_tries)
        while True:
            try:
                with self.open(request, ANSWER_SECONDS + request.wait) as response:
                    content_type = response.headers.get("content-type", "")
                    answer = answer_of(response.status_code, content_type, response.read())
                return request.read(answer)
            except TurnlogError as error:
                if tries.has_succeeded(error):
                    return request.read(None)
                time.sleep(tries.wait_after(error))

    def read(self, reader: StreamReader[Item]) -> Generator[Item]:
        """Yield what a stream brings, over as many connections as it takes."""
        while not reader.is_over:
            try:
                with self.open(reader.request(), reader.max_silence) as response:
                    reader.open(response.status_code, response.headers.get("content-type", ""))
                    if reader.is_over:
                        return
                    for data in response.iter_bytes():
                        yield from reader.read(data)
                        if reader.is_over:
                            return
                pause = reader.close()
            except TurnlogError as error:
                pause = reader.fail(error)
            time.sleep(pause)

    @contextmanager
    def open(self, request: Request[Any], silence: float) -> Generator[httpx2.Response]:
        """Send a request once. Its response, whose body is not read yet, ends with the context.

        Raises:
            ProblemError: the service refuses.
            NetworkError: it can't be reached, or its answer breaks off, or it sends nothing for `silence` seconds.
        """
        try:
            response = self._send(request, silence)
            if response.status_code == 401 and callable(self.token):
                response.close()
                response = self._send(request, silence)  # with a new token
            try:
                if response.status_code >= 300:
                    raise problem_of(response.status_code, response.reason_phrase, response.headers, response.read())
                yield response
            finally:
                response.close()
        except httpx2.RequestError as error:
            raise NetworkError(str(error) or type(error).__name__) from error

    def _send(self, request: Request[Any], silence: float) -> httpx2.Response:
        token = self.token() if callable(self.token) else self.token
        built = self.http.build_request(
            request.method,
            self.base_url + request.target,
            headers=headers_of(request, token),
            content=request.content,
            timeout=httpx2.Timeout(silence, connect=CONNECT_SECONDS),
        )
        return self.http.send(built, stream=True)
