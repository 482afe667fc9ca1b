"""Both clients, whose requests are answered by a script, one after the other."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx2
from turnlog_client import AsyncClient, Client, Event, StreamOptions

Answer = httpx2.Response | Exception


def problem(status: int, code: str, **headers: str) -> httpx2.Response:
    body = {"status": status, "code": code, "detail": f"it is {code}", "retryable": status >= 429}
    return httpx2.Response(status, json=body, headers={name.replace("_", "-"): text for name, text in headers.items()})


def stream(*pieces: str | Exception) -> httpx2.Response:
    headers = {"content-type": "text/event-stream"}
    return httpx2.Response(200, headers=headers, stream=_Pieces(pieces))


def frame(sequence: int) -> str:
    return f'id: {sequence}-abc\ndata: {{"sequence": {sequence}, "type": "x", "data": {{}}}}\n\n'


DONE = 'id: 9-abc\nevent: done\ndata: {"reason": "finished"}\n\n'


class _Pieces(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, pieces: Sequence[str | Exception]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece.encode()

    async def __aiter__(self):
        for piece in self:
            yield piece


class SyncCalls:
    """The sync client's calls."""

    def __init__(self, answers: Sequence[Answer], token: Callable[[], str] | None = None, **options: Any) -> None:
        self.requests: list[httpx2.Request] = []
        self._answers = list(answers)
        self._token = token
        self._options = options

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def headers(self, name: str) -> list[str | None]:
        return [request.headers.get(name) for request in self.requests]

    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests if request.content]

    def events(self, options: StreamOptions) -> list[Event]:
        return list(self._client().session("s").events(options))

    def list_agents(self) -> Any:
        return self._client().list_agents()

    def create(self, **options: Any) -> str:
        return self._client().create_session(**options).id

    def send(self, **options: Any) -> None:
        self._client().session("s").send("Hi", **options)

    def delete(self) -> None:
        self._client().session("s").delete()

    def approve(self) -> None:
        self._client().session("s").approve("call")

    def export(self) -> list[str]:
        return list(self._client().session("s").export())

    def _client(self) -> Client:
        http = httpx2.Client(transport=httpx2.MockTransport(self.answer))
        return Client("http://service/", token=self._token, http=http, **self._options)


class AsyncCalls(SyncCalls):
    """The async client's calls."""

    def events(self, options: StreamOptions) -> list[Event]:
        async def collect(client: AsyncClient) -> list[Event]:
            return [event async for event in client.session("s").events(options)]

        return self._run(collect)

    def list_agents(self) -> Any:
        return self._run(lambda client: client.list_agents())

    def create(self, **options: Any) -> str:
        return self._run(lambda client: client.create_session(**options)).id

    def send(self, **options: Any) -> None:
        self._run(lambda client: client.session("s").send("Hi", **options))

    def delete(self) -> None:
        self._run(lambda client: client.session("s").delete())

    def approve(self) -> None:
        self._run(lambda client: client.session("s").approve("call"))

    def export(self) -> list[str]:
        async def collect(client: AsyncClient) -> list[str]:
            return [line async for line in client.session("s").export()]

        return self._run(collect)

    def _run(self, call: Callable[[AsyncClient], Any]) -> Any:
        async def run() -> Any:
            async def ask() -> str:
                assert self._token is not None
                return self._token()

            http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.answer))
            token = ask if self._token else None
            async with AsyncClient("http://service/", token=token, http=http, **self._options) as client:
                return await call(client)

        return asyncio.run(run())
