"""The framing of server-sent events, and the pace of a stream: heartbeats, and its planned end."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Protocol, TypeVar

from azurefunctions.extensions.http.fastapi import StreamingResponse

B_contra = TypeVar("B_contra", contravariant=True)

HEARTBEAT = timedelta(seconds=15)
"""Below the 230 s after which Azure's load balancer drops an idle connection, with room for proxies."""

HEADERS = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
_BEAT = b": still here\n\n"
_OPEN = b": open\n\n"
_RESUME = b"retry: 500\n\n"
_LINE_ENDS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


class Delivery(Protocol[B_contra]):
    """One reader's progress. `over` once nothing more will come."""

    over: bool

    async def delivered(self, batch: Sequence[B_contra], /) -> bytes:
        """The frames of what was read."""
        ...

    async def caught_up(self) -> bytes:
        """The frames to send when everything that exists was sent."""
        ...


def streaming(frames: AsyncGenerator[bytes], headers: Mapping[str, str] | None = None) -> StreamingResponse:
    return StreamingResponse(frames, headers={**HEADERS, **(headers or {})}, media_type="text/event-stream")


async def paced(
    batches: AsyncGenerator[Sequence[B_contra]], delivery: Delivery[B_contra], lasting: timedelta
) -> AsyncGenerator[bytes]:
    """The frames of all `batches`, until nothing more will come or `lasting` is over."""
    yield _OPEN
    closes_at = time.monotonic() + lasting.total_seconds()
    was_caught_up = False
    async with aclosing(batches):
        async for batch in batches:
            frames = await (delivery.delivered(batch) if batch else delivery.caught_up())
            # The first empty batch only means that the reader has caught up; another one, that time has passed.
            if not frames and not batch and was_caught_up:
                frames = _BEAT
            was_caught_up = not batch
            if frames:
                yield frames
            if delivery.over:
                return
            if time.monotonic() >= closes_at:
                # A planned end: without `done` the client resumes from its cursor.
                yield _RESUME
                return


def frame_of(frame_id: bytes, data: bytes, name: bytes | None = None) -> bytes:
    """One frame, named or not. `data` is put on one line for every client."""
    named = b"" if name is None else b"event: %b\n" % name
    return b"id: %b\n%bdata: %b\n\n" % (frame_id, named, one_line(data))


def one_line(data: bytes) -> bytes:
    """`data` on one line for every client: some end a line at U+0085, U+2028 and U+2029 too."""
    if b"\xc2\x85" in data or b"\xe2\x80" in data:
        for character, escaped in _LINE_ENDS:
            data = data.replace(character, escaped)
    return data
