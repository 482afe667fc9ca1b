"""Server-sent events: frames, heartbeats, and the end of a stream (html.spec.whatwg.org, "Server-sent events")."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Protocol, TypeVar

from azurefunctions.extensions.http.fastapi import StreamingResponse
from starlette.responses import Content

B_contra = TypeVar("B_contra", contravariant=True)

HEARTBEAT = timedelta(seconds=15)
"""Azure's load balancer drops a connection after 230 s without data. Proxies on the way may do so earlier."""

_HEADERS = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
_OPEN = b": open\n\n"
_HEARTBEAT_FRAME = b": still here\n\n"
_RESUME = b"retry: 500\n\n"
_PACKET_BYTES = 64 * 1024
_LINE_ENDS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


class Delivery(Protocol[B_contra]):
    """The progress of one reader. `is_over` once nothing more will come."""

    is_over: bool

    def deliver(self, batch: Sequence[B_contra], /) -> AsyncGenerator[bytes]:
        """Yield the frames of what was read, each when it is needed: a reader that never reads holds one at most."""
        ...

    async def catch_up(self) -> bytes:
        """Return the frames to send when everything was read, usually none."""
        ...


def stream_response(frames: AsyncGenerator[bytes], headers: Mapping[str, str] | None = None) -> StreamingResponse:
    return StreamingResponse(frames, headers={**_HEADERS, **(headers or {})}, media_type="text/event-stream")


async def stream_frames(
    batches: AsyncGenerator[Sequence[B_contra]], delivery: Delivery[B_contra], max_duration: timedelta
) -> AsyncGenerator[bytes]:
    """The frames of all `batches`, with heartbeats, until nothing more will come or `max_duration` is over.

    An empty batch says that the reader has caught up.
    """
    yield _OPEN
    # Not all at the same time: streams that begin together after a deployment would also reconnect together.
    closes_at = time.monotonic() + max_duration.total_seconds() * random.uniform(0.9, 1)  # noqa: S311
    is_silent = False
    async with aclosing(batches):
        async for batch in batches:
            if batch:
                async with aclosing(_packets(delivery.deliver(batch))) as packets:
                    async for packet in packets:
                        yield packet
            else:
                # The first empty batch comes at once. Only a second one in a row means that a heartbeat is due.
                frames = await delivery.catch_up() or (_HEARTBEAT_FRAME if is_silent else b"")
                if frames:
                    yield frames
            is_silent = not batch
            if delivery.is_over:
                return
            if time.monotonic() >= closes_at:
                # A planned end: without `done` the client resumes from its cursor.
                yield _RESUME
                return


async def _packets(frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """`frames`, small ones together and large ones in parts, since servers copy what they send."""
    waiting = bytearray()
    async with aclosing(frames):
        async for each in frames:
            if waiting and len(waiting) + len(each) > _PACKET_BYTES:
                yield bytes(waiting)
                waiting.clear()
            if len(each) <= _PACKET_BYTES:
                waiting += each
                continue
            for start in range(0, len(each), _PACKET_BYTES):
                yield each[start : start + _PACKET_BYTES]
    if waiting:
        yield bytes(waiting)


async def until_expiry(body: AsyncIterable[Content], expires_in: timedelta | None) -> AsyncGenerator[Content]:
    """`body`, which ends like a planned end when `expires_in` is over. It is closed in any case."""
    ends_at = None if expires_in is None else asyncio.get_running_loop().time() + expires_in.total_seconds()
    parts, is_whole, limit = aiter(body), True, asyncio.timeout(None)
    try:
        while True:
            async with (limit := asyncio.timeout_at(ends_at)):
                part = await anext(parts, None)
            if part is None:
                return
            yield part
            is_whole = bytes(part, "utf-8").endswith(b"\n\n") if isinstance(part, str) else part[-2:] == b"\n\n"
    except TimeoutError:
        if not limit.expired():  # not by the time: a timer may end a little early
            raise
        if is_whole:  # a frame that is cut is no frame: clients drop it, and read it again
            yield _RESUME
    finally:
        if isinstance(parts, AsyncGenerator):
            await parts.aclose()


def data_frame(data: bytes) -> bytes:
    """One frame without a name or a cursor."""
    return b"data: %b\n\n" % one_line(data)


def frame(frame_id: bytes, data: bytes, name: bytes | None = None) -> bytes:
    """One frame, with or without a name."""
    event = b"" if name is None else b"event: %b\n" % name
    return b"id: %b\n%bdata: %b\n\n" % (frame_id, event, one_line(data))


def one_line(data: bytes) -> bytes:
    """`data` on one line for every client: some also end a line at U+0085, U+2028 or U+2029."""
    if b"\xc2\x85" in data or b"\xe2\x80" in data:
        for character, escaped in _LINE_ENDS:
            data = data.replace(character, escaped)
    return data
