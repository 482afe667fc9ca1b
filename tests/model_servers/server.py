"""A model server made of habits. It speaks HTTP/1.1 by hand: every packet, line end and break is the script's.

A request's `model` names the habit that answers it. For a list of models, the first part of the path does.
"""

import asyncio
import json
import socket
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Json: TypeAlias = dict[str, Any]
Framing: TypeAlias = Literal["chunked", "length", "until_close"]

_MAX_HEAD_BYTES = 2**24


@dataclass(frozen=True)
class Request:
    """What the server was sent. Names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: Json

    @property
    def messages(self) -> list[Json]:
        return self.body.get("messages", [])


@dataclass(frozen=True)
class Head:
    """The head of an answer. `framing` says how the end of the body is found."""

    status: int = 200
    framing: Framing = "chunked"
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})
    http: str = "HTTP/1.1"

    def encode(self, length: int) -> bytes:
        framing = {
            "chunked": "transfer-encoding: chunked",
            "length": f"content-length: {length}",
            "until_close": "connection: close",
        }
        lines = [f"{self.http} {self.status} Reason", framing[self.framing]]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode()


class Exchange:
    """One request and the socket to answer it on. `number` counts the requests to this model, from 1."""

    def __init__(self, writer: asyncio.StreamWriter, request: Request, number: int) -> None:
        self._writer = writer
        self._framing: Framing = "chunked"
        self.request = request
        self.number = number

    @property
    def entries_of_turn(self) -> list[Json]:
        """What the conversation holds after the newest message of the user."""
        messages = self.request.messages
        last = max(number for number, message in enumerate(messages) if message["role"] == "user")
        return messages[last + 1 :]

    @property
    def prompt(self) -> str:
        """The newest message of the user."""
        return next(str(each["content"]) for each in reversed(self.request.messages) if each["role"] == "user")

    @property
    def results(self) -> list[str]:
        """What the tools returned in this turn."""
        return [message["content"] for message in self.entries_of_turn if message["role"] == "tool"]

    async def send(self, packet: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(packet)
        await self._writer.drain()

    async def start(self, head: Head, length: int = 0) -> None:
        self._framing = head.framing
        await self.send(head.encode(length))

    async def write(self, data: bytes) -> None:
        """Send a part of the body."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data) if self._framing == "chunked" else data)

    async def end(self) -> None:
        """End the body as its head says."""
        if self._framing == "chunked":
            await self.send(b"0\r\n\r\n")
        elif self._framing == "until_close":
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection in order, whatever was left unsent."""
        self._writer.close()

    async def close(self) -> None:
        """Hang up, and wait until the other side can know it."""
        self.hang_up()
        await self._writer.wait_closed()

    def reset(self) -> None:
        """Break the connection with RST instead of FIN."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Answer: TypeAlias = Callable[[Exchange], Awaitable[None]]


class ModelServer:
    """The server's address, and what it was sent."""

    def __init__(self, answers: Mapping[str, Answer], model_lists: Mapping[str, Answer]) -> None:
        self._answers = answers
        self._model_lists = model_lists
        self._requests: dict[str, list[Request]] = defaultdict(list)
        self.connections: Counter[str] = Counter()
        """How many connections have carried a request to each model."""
        self.aborted: Counter[str] = Counter()
        """How many answers of each model the client did not wait for."""
        self.port = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def requests(self, model: str) -> list[Request]:
        """Return the requests that a model has had."""
        return list(self._requests[model])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until the connection ends."""
        seen: set[str] = set()
        with suppress(OSError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                request = await _read_request(reader)
                await self._answer(writer, request, seen)
        with suppress(OSError):
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, request: Request, seen: set[str]) -> None:
        if request.method == "GET":
            answer = self._model_lists.get(request.target.split("/")[1], _not_found)
            await answer(Exchange(writer, request, 1))
            return
        model = request.body["model"]
        self._requests[model].append(request)
        self.connections[model] += model not in seen
        seen.add(model)
        try:
            await self._answers[model](Exchange(writer, request, len(self._requests[model])))
        except ConnectionError:
            self.aborted[model] += 1
            raise


async def _not_found(exchange: Exchange) -> None:
    await exchange.start(Head(404, "length"))


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    body: Json = json.loads(await reader.readexactly(length)) if length else {}
    return Request(method, target, headers, body)


@contextmanager
def model_server(answers: Mapping[str, Answer], model_lists: Mapping[str, Answer]) -> Generator[ModelServer]:
    """Serve while the body runs, on a thread with its own event loop."""
    server = ModelServer(answers, model_lists)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listening = asyncio.start_server(server.serve, "127.0.0.1", 0, limit=_MAX_HEAD_BYTES)
    try:
        sockets = asyncio.run_coroutine_threadsafe(listening, loop).result()
        server.port = sockets.sockets[0].getsockname()[1]
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _stop() -> None:
    """Cancel the answers that are still being written."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
