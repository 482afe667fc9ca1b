"""Reads rooms for sockets, from the same feeds as the streams of server-sent events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import cache

from turnlog.api.edge.parameters import cursor_text
from turnlog.api.edge.room_stream import frame_positions
from turnlog.api.edge.sse import HEARTBEAT
from turnlog.api.push.admission import JoinedRoom
from turnlog.api.shapes.push import PushFrame, push_frame
from turnlog.api.shapes.rooms import RoomRenderer
from turnlog.domain.rooms import Room, RoomEntry
from turnlog.wiring import services


async def frames_of_room(room: JoinedRoom, after: int) -> AsyncGenerator[PushFrame]:
    """The named frames of a room after the cursor `after`, as they come. The room of a session ends with it."""
    renderer = _renderer(is_named=True, has_all_events=room.session_id is not None)
    async with aclosing(_entries(room.feed, after)) as entries:
        async for entry in entries:
            if room.session_id in {None, entry.session_id}:
                async for frame in _frames(renderer, entry):
                    yield frame
                if room.session_id is not None and entry.is_deletion:
                    return


async def frames_of_owner(room: Room, after: int) -> AsyncGenerator[PushFrame]:
    """The unnamed frames of an owner's room after the cursor `after`, as they come."""
    renderer = _renderer(is_named=False)
    async with aclosing(_entries(room, after)) as entries:
        async for entry in entries:
            async for frame in _frames(renderer, entry):
                yield frame


async def first_frame(room: Room) -> tuple[int, PushFrame]:
    """The `init` frame of an owner's room, and the cursor after it."""
    snapshot = await services().rooms.snapshot(room)
    shown = cursor_text(snapshot.cursor, services().log.incarnation)
    body = await _renderer(is_named=False).render_init(shown, snapshot.sessions)
    return snapshot.cursor, PushFrame(None, body.data)


async def _entries(room: Room, after: int) -> AsyncGenerator[RoomEntry]:
    async with aclosing(services().rooms.follow(room, after, HEARTBEAT)) as batches:
        async for batch in batches:
            for entry in batch:
                yield entry


async def _frames(renderer: RoomRenderer, entry: RoomEntry) -> AsyncGenerator[PushFrame]:
    parts = renderer.parts(entry)
    for position, part in zip(frame_positions(entry, len(parts)), parts, strict=False):
        yield push_frame(entry, cursor_text(position, services().log.incarnation), await part())


@cache
def _renderer(*, is_named: bool, has_all_events: bool = False) -> RoomRenderer:
    return RoomRenderer(services().log, services().sessions, is_named=is_named, has_all_events=has_all_events)
