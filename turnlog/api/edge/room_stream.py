"""A room as a stream of server-sent events."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from weakref import WeakKeyDictionary

from azurefunctions.extensions.http.fastapi import StreamingResponse

from turnlog.api.edge.parameters import cursor_text
from turnlog.api.edge.sse import frame, stream_frames, stream_response
from turnlog.api.shapes.common import as_json
from turnlog.api.shapes.rooms import FrameBody, RoomRenderer
from turnlog.domain.rooms import RoomEntry
from turnlog.domain.session import SessionState

_MAX_SHARED_BYTES = 64 * 1024
"""The frames of an entry are kept for other watchers if they are not larger than this together."""

Entries = AsyncGenerator[Sequence[RoomEntry], None]


class RoomFrames:
    """The frames of a kind of room. An entry is encoded once, for all watchers of this process."""

    def __init__(self, renderer: RoomRenderer, incarnation: str) -> None:
        self._renderer = renderer
        self._incarnation = incarnation
        self._encoded: WeakKeyDictionary[RoomEntry, Sequence[bytes]] = WeakKeyDictionary()

    async def of_entry(self, entry: RoomEntry, skipped: int = 0) -> AsyncGenerator[bytes]:
        """The entry's frames after the first `skipped`, each rendered when it is needed.

        The last one's id is the entry's cursor; the others are numbered from the one before. The last one always
        follows what was skipped, even if the entry has lost frames since.
        """
        encoded = self._encoded.get(entry)
        if encoded is None:
            parts = self._renderer.parts(entry)
            ids = frame_positions(entry, len(parts))
            if entry.size > _MAX_SHARED_BYTES:
                for frame_id, part in list(zip(ids, parts, strict=False))[_start(len(parts), skipped) :]:
                    yield self._frame(frame_id, await part())
                return
            encoded = [self._frame(frame_id, await part()) for frame_id, part in zip(ids, parts, strict=False)]
            if sum(map(len, encoded)) <= _MAX_SHARED_BYTES:
                self._encoded[entry] = encoded
        for each in encoded[_start(len(encoded), skipped) :]:
            yield each

    async def of_init(self, cursor: int, sessions: Sequence[SessionState]) -> bytes:
        """The first frame of a stream without a cursor."""
        shown = cursor_text(cursor, self._incarnation)
        return self._frame(str(cursor), await self._renderer.render_init(shown, sessions))

    def _frame(self, position: str, body: FrameBody) -> bytes:
        name = None if body.name is None else body.name.encode()
        return frame(cursor_text(position, self._incarnation).encode(), as_json(body.data), name)


def frame_positions(entry: RoomEntry, count: int) -> list[str]:
    """The positions of the entry's `count` frames: a reader that continues from one gets the frames after it."""
    return [f"{entry.before}~{number}" for number in range(1, count)] + [str(entry.cursor)]


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

    async def deliver(self, entries: Sequence[RoomEntry], /) -> AsyncGenerator[bytes]:
        for entry in entries:
            skipped, self._skipped = self._skipped, 0
            async with aclosing(self._frames.of_entry(entry, skipped)) as frames:
                async for each in frames:
                    yield each

    async def catch_up(self) -> bytes:
        return b""


def _start(count: int, skipped: int) -> int:
    """How many of `count` frames are left out."""
    return min(skipped, max(count - 1, 0))
