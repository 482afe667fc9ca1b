"""A light HTTP/1.1 client on bare sockets: it shares the cores with the servers that it measures."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

EVENT_STREAM = {"accept": "text/event-stream"}
_MAX_LINE_BYTES = 1 << 20


class AnswerError(Exception):
    """The server gave another answer than the measurement needs."""


class Frame(NamedTuple):
    """A server-sent event; in the envelope form only `id` and `data` are set."""

    id: int
    event: str
    data: str


class Connection:
    """One connection, kept alive from `open` to `close`: send a request, read its whole answer, send the next."""

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self.origin = f"http://{host}"
        self._reader = reader
        self._writer = writer
        self.headers: dict[str, str] = {}

    @classmethod
    async def open(cls, url: str) -> Self:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=_MAX_LINE_BYTES)
        return cls(parts.netloc, reader, writer)

    def close(self) -> None:
        self._writer.close()

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        """Send a request without waiting for its answer; a `body` that is not bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._host}", f"content-length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in {"content-type": "application/json", **(headers or {})}.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + content)

    async def status(self) -> int:
        """Read an answer up to its body, and set `headers`."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        return int(head[0].split(" ")[1])

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the body in the pieces in which the server wrote it; the pieces of a stream are whole frames."""
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            yield await self._reader.readexactly(int(self.headers.get("content-length", 0)))
            return
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)

    async def frames(self) -> AsyncGenerator[Frame]:
        """Yield the server-sent events of an answer, without comments."""
        async for piece in self.pieces():
            for text in piece.decode().split("\n\n"):
                fields = dict(line.split(": ", 1) for line in text.split("\n") if not line.startswith(":") and line)
                if "id" in fields:
                    yield Frame(int(fields["id"].partition("-")[0]), fields.get("event", ""), fields["data"])

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, expect: int = 200
    ) -> Any:
        """Send a request and return the JSON of its answer, or None if it has no body.

        Raises:
            AnswerError: the status is not `expect`.
        """
        self.send(method, path, body, headers)
        status = await self.status()
        content = b"".join([piece async for piece in self.pieces()])
        if status != expect:
            raise AnswerError(f"{method} {path}: {status} instead of {expect}: {content[:500].decode()}")
        return json.loads(content) if content else None

    async def begin_stream(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a request and read its answer up to its body; the caller then reads the body as a stream.

        Raises:
            AnswerError: the status is not 200.
        """
        self.send(method, path, body, headers)
        if (status := await self.status()) != 200:
            raise AnswerError(f"{method} {path}: {status} instead of a stream")


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Connection]:
    """Connect to the server at `url` while the body runs."""
    connection = await Connection.open(url)
    try:
        yield connection
    finally:
        connection.close()
