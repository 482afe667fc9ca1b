"""Streams of an answer without a server: packets in, pieces out."""

import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, cast

import httpx2

from turnlog.domain.values import Piece
from turnlog.models.openai import OpenAIStream
from turnlog.models.sse import EventStream


class Response:
    """A response whose body is `packets`, and then `error` if there is one."""

    def __init__(self, packets: Sequence[bytes], error: Exception | None = None) -> None:
        self._packets = packets
        self._error = error
        self.read = 0
        self.is_closed = False

    async def aiter_bytes(self) -> AsyncGenerator[bytes]:
        for packet in self._packets:
            self.read += 1
            yield packet
        if self._error is not None:
            raise self._error

    async def aclose(self) -> None:
        self.is_closed = True


def events(response: Response) -> EventStream:
    return EventStream(cast("httpx2.Response", response))


def encode(frames: Iterable[Any]) -> list[bytes]:
    """Return a packet for each frame: an object as JSON, a text as it is."""
    texts = (frame if isinstance(frame, str) else json.dumps(frame) for frame in frames)
    return [f"data: {text}\n\n".encode() for text in texts]


async def read(*packets: bytes, error: Exception | None = None) -> tuple[OpenAIStream, list[Piece]]:
    """Return an answer's stream after it was read, and the pieces that came."""
    stream = OpenAIStream(events(Response(packets, error)))
    return stream, [piece async for piece in stream]
