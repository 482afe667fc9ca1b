"""Sends what is appended to the sessions' logs to the SignalR groups of the sessions and their projects."""

import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any

import azure.functions as func
from typing_extensions import TypedDict

from turnlog.api.shapes.common import as_json
from turnlog.api.shapes.rooms import RoomFrame, RoomRenderer
from turnlog.api.shapes.signalr import project_group, session_group
from turnlog.changes.feed import Document
from turnlog.changes.frames import frame_id, visible_chunks, with_ids_only
from turnlog.domain.chunks import Chunk
from turnlog.domain.rooms import room_entry
from turnlog.domain.session import SessionState
from turnlog.telemetry.logs import log_failures
from turnlog.wiring import Services, services

TARGET = "frames"
"""The name that clients listen for: `connection.on("frames", frames => …)`."""

MAX_BYTES = 1_000_000
"""The service's REST API takes 1 MB (learn.microsoft.com/azure/azure-signalr/signalr-concept-messages-and-connections).

Sizes are counted in ASCII, the longest form: how the host escapes other characters is not known.
"""

_OVERHEAD = 100  # target, brackets, and so on


class Message(TypedDict):
    """One message in the form that the output binding takes. Its only argument is a list of frames."""

    target: str
    groupName: str
    arguments: list[list[RoomFrame]]


@log_failures
async def send_to_signalr(documents: func.DocumentList, messages: func.Out[str]) -> None:
    """Send each chunk to the group of its session and of its project, in order per session. Deltas are not sent.

    If the batch is delivered again, the same frames are sent with the same ids. Raises StoreUnavailableError, so that
    the host delivers the whole batch again.
    """
    frames = [each async for each in _frames_of(services(), documents)]
    if frames:
        messages.set(json.dumps(messages_of(frames)))


async def _frames_of(app: Services, documents: Iterable[Document]) -> AsyncGenerator[tuple[str, RoomFrame]]:
    """Each frame with its group, in the order of the feed."""
    for_session = RoomRenderer(app.log, app.sessions, is_named=False)
    for_project = RoomRenderer(app.log, app.sessions, is_named=True)
    async for shown in visible_chunks(app, documents):
        for frame in await _frames(for_session, shown.chunk, shown.state):
            yield session_group(shown.chunk.session_id), frame
        if shown.project_id is not None:
            for frame in await _frames(for_project, shown.chunk, shown.state):
                yield project_group(shown.project_id), frame


async def _frames(renderer: RoomRenderer, chunk: Chunk, state: SessionState) -> Sequence[RoomFrame]:
    """The chunk's frames. Their ids are always the same: the chunk's sequence, and a number within the chunk."""
    frames: list[RoomFrame] = []
    for number, (name, data) in enumerate(await renderer.render(room_entry(0, 0, chunk, state)), 1):
        frame: RoomFrame = {"id": frame_id(chunk, number), "data": as_json(data).decode()}
        frames.append(frame if name is None else {**frame, "event": name})
    return frames


def messages_of(frames: Iterable[tuple[str, RoomFrame]], max_bytes: int = MAX_BYTES) -> list[Message]:
    """The messages that carry the frames to their groups, in order, as few as the limit allows.

    `data` stays text. The host would parse JSON and write it in its own way: it changes dates and numbers, and refuses
    more than 64 levels.
    """
    groups: dict[str, list[RoomFrame]] = {}
    for group, frame in frames:
        groups.setdefault(group, []).append(frame)
    return [
        {"target": TARGET, "groupName": group, "arguments": [part]}
        for group, of_group in groups.items()
        for part in _split(of_group, max_bytes - _OVERHEAD)
    ]


def _split(frames: Sequence[RoomFrame], max_bytes: int) -> list[list[RoomFrame]]:
    parts: list[list[RoomFrame]] = []
    left = 0
    for each in frames:
        frame = each if _size(each) <= max_bytes else _with_ids_only(each)
        size = _size(frame)
        if size > left:
            parts.append([])
            left = max_bytes
        parts[-1].append(frame)
        left -= size
    return parts


def _with_ids_only(frame: RoomFrame) -> RoomFrame:
    """What is sent for a frame that alone is too large: the ids of what clients can read from the API."""
    data: dict[str, Any] = json.loads(frame.get("data", "{}"))
    return {**frame, "data": json.dumps(with_ids_only(data), separators=(",", ":"))}


def _size(frame: RoomFrame) -> int:
    return len(json.dumps(frame)) + len(", ")
