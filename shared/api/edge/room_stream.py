"""A room as a stream of server-sent events."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from weakref import WeakKeyDictionary

from azurefunctions.extensions.http.fastapi import StreamingResponse

from shared.api.edge.sse import frame, stream_frames, stream_response
from shared.api.shapes.common import as_json
from shared.api.shapes.rooms import FrameBody, RoomRenderer
from shared.domain.rooms import RoomEntry
from shared.domain.session import SessionState

Entries = AsyncGenerator[Sequence[RoomEntry], None]


class RoomFrames:
    """The frames of a kind of room. An entry is encoded once, for all watchers of this process."""

    def __init__(self, renderer: RoomRenderer) -> None:
        self._renderer = renderer
        self._encoded: WeakKeyDictionary[RoomEntry, Sequence[bytes]] = WeakKeyDictionary()

    async def of_entry(self, entry: RoomEntry) -> Sequence[bytes]:
        """The entry's frames. The last one's id is the entry's cursor; the others are numbered from the one before."""
        encoded = self._encoded.get(entry)
        if encoded is None:
            bodies = await self._renderer.render(entry)
            ids = [f"{entry.before}~{number}" for number in range(1, len(bodies))] + [str(entry.cursor)]
            encoded = [_frame(frame_id, body) for frame_id, body in zip(ids, bodies, strict=False)]
            self._encoded[entry] = encoded
        return encoded

    async def of_init(self, cursor: int, sessions: Sequence[SessionState]) -> bytes:
        """The first frame of a stream without a cursor."""
        return _frame(str(cursor), await self._renderer.render_init(str(cursor), sessions))


def room_stream(
    frames: RoomFrames, entries: Entries, max_duration: timedelta, *, init: bytes = b"", skipped: int = 0
) -> StreamingResponse:
    """The `entries` as a response. `init` is sent first; `skipped` frames of the first entry are left out."""
    return stream_response(_after_init(init, stream_frames(entries, _Delivery(frames, skipped), max_duration)))


async def _after_init(init: bytes, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(frames):
        if init:
            yield init
        async for each in frames:
            yield each


class _Delivery:
    """The progress of one watcher, who has seen `skipped` frames of the first entry. A room never ends."""

    is_over = False

    def __init__(self, frames: RoomFrames, skipped: int) -> None:
        self._frames = frames
        self._skipped = skipped

    async def deliver(self, entries: Sequence[RoomEntry], /) -> bytes:
        delivered: list[bytes] = []
        for entry in entries:
            frames, self._skipped, skipped = await self._frames.of_entry(entry), 0, self._skipped
            # At least one frame followed those that were seen, even if the entry has lost some since.
            delivered += frames[min(skipped, max(len(frames) - 1, 0)) :]
        return b"".join(delivered)

    async def catch_up(self) -> bytes:
        return b""


def _frame(frame_id: str, body: FrameBody) -> bytes:
    name = None if body.name is None else body.name.encode()
    return frame(frame_id.encode(), as_json(body.data), name)
