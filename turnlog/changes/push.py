"""Sends what is appended to the sessions' logs to Web PubSub: to the rooms of Socket.IO, and to owners' WebSockets."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import azure.functions as func

from turnlog.api.shapes.common import as_json
from turnlog.api.shapes.push import PushFrame, bound_session_room, owner_group, project_room, push_frame
from turnlog.api.shapes.rooms import RoomRenderer
from turnlog.changes.frames import VisibleChunk, frame_id, visible_chunks, with_ids_only
from turnlog.domain.rooms import room_entry
from turnlog.telemetry.logs import log_failures
from turnlog.wiring import services

MAX_BYTES = 1_000_000
"""Web PubSub takes messages of 1 MB (learn.microsoft.com/azure/azure-web-pubsub/key-concepts)."""

_OVERHEAD = 200  # the name of the event, and brackets
_MAX_ROOMS = 8  # that are sent to at the same time

Send: TypeAlias = Callable[[], Awaitable[None]]


@log_failures
async def send_to_socketio(documents: func.DocumentList) -> None:
    """Send each chunk to the room of its session and of its project, in order per room. Deltas are not sent.

    A session that is deleted loses its sockets. If the batch is delivered again, the same frames are sent again.
    Raises StoreUnavailableError and PushUnavailableError, so that the host delivers the whole batch again.
    """
    app = services()
    for_session = RoomRenderer(app.log, app.sessions, is_named=True, has_all_events=True)
    for_project = RoomRenderer(app.log, app.sessions, is_named=True)
    rooms: dict[str, list[Send]] = {}

    def add(room: str, frame: PushFrame) -> None:
        async def send() -> None:
            await app.socketio.send(room, frame.name or "", _text(frame))

        rooms.setdefault(room, []).append(send)

    async for shown in visible_chunks(app, documents):
        room = bound_session_room(shown.chunk.session_id)
        for frame in await _frames(for_session, shown):
            add(room, frame)
        if shown.state.deleted:
            rooms.setdefault(room, []).append(_clearing(room))
        if shown.project_id is not None:
            for frame in await _frames(for_project, shown):
                add(project_room(shown.project_id), frame)
    await _run(rooms)


@log_failures
async def send_to_websockets(documents: func.DocumentList) -> None:
    """Send each chunk to its owner's WebSockets, in order. Otherwise as `send_to_socketio`."""
    app = services()
    renderer = RoomRenderer(app.log, app.sessions, is_named=False)
    groups: dict[str, list[Send]] = {}

    def add(group: str, frame: PushFrame) -> None:
        async def send() -> None:
            await app.websockets.send(group, _text(frame))

        groups.setdefault(group, []).append(send)

    async for shown in visible_chunks(app, documents):
        for frame in await _frames(renderer, shown):
            add(owner_group(shown.state.owner_hash), frame)
    await _run(groups)


def _clearing(room: str) -> Send:
    async def clear() -> None:
        await services().socketio.clear(room)

    return clear


async def _frames(renderer: RoomRenderer, shown: VisibleChunk) -> list[PushFrame]:
    entry = room_entry(0, 0, shown.chunk, shown.state)
    bodies = await renderer.render(entry)
    return [push_frame(entry, frame_id(shown.chunk, number), body) for number, body in enumerate(bodies, 1)]


def _text(frame: PushFrame) -> str:
    """The frame's data as JSON. A frame that is too large has only the ids of what clients read from the API."""
    encoded = as_json(frame.data)
    return (encoded if len(encoded) <= MAX_BYTES - _OVERHEAD else as_json(with_ids_only(frame.data))).decode()


async def _run(rooms: dict[str, list[Send]]) -> None:
    """Send to several rooms at once, and to each in order."""
    places = asyncio.Semaphore(_MAX_ROOMS)

    async def send_all(sends: Sequence[Send]) -> None:
        async with places:
            for send in sends:
                await send()

    results = await asyncio.gather(*map(send_all, rooms.values()), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
