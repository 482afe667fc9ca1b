"""A receiver of webhooks on this machine, which answers as a test says and stores what it gets."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.http.api_client import wait_until


@dataclass
class Received:
    """A request: its headers in lower case, and its body."""

    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """`answers` are the first lines of the answers, maybe with headers; `hang` sends none. The last one repeats."""

    url: str = ""
    answers: list[str] = field(default_factory=lambda: ["200 OK"])
    received: list[Received] = field(default_factory=list[Received])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers["content-length"]))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.received.append(Received(headers, body))
            if answer == "hang":
                await reader.read()
            else:
                writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
                await writer.drain()
        writer.close()

    async def wait_for(self, count: int) -> Sequence[Received]:
        """The first `count` requests, once they have come."""

        async def has_come() -> bool:
            return len(self.received) >= count

        await wait_until(has_come)
        return self.received[:count]


@asynccontextmanager
async def running_receiver(*answers: str) -> AsyncGenerator[Receiver]:
    receiver = Receiver()
    receiver.answers = list(answers) or receiver.answers
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
    try:
        yield receiver
    finally:
        server.close()
