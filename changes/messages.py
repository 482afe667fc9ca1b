"""The messages that SignalR's output binding takes: frames, put together by group and cut to what the service takes."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from typing_extensions import TypedDict

from shared.api.room_frames import RoomFrame

TARGET = "frames"
"""What clients listen for: `connection.on("frames", frames => …)`."""

MOST_BYTES = 1_000_000
"""The service's REST API takes 1 MB (learn.microsoft.com/azure/azure-signalr/signalr-concept-messages-and-connections).

Counted as ASCII, since it is not ours to say how the host escapes.
"""

_AROUND = 100  # target, brackets, and the like


class Message(TypedDict):
    """One message in the binding's form; its one argument is a list of frames."""

    target: str
    groupName: str
    arguments: list[list[RoomFrame]]


def messages_of(told: Iterable[tuple[str, RoomFrame]]) -> list[Message]:
    """The messages that tell each group its frames, in order: as few as the service's limit allows.

    A frame's `data` stays the text it is: what the host reads as JSON it writes anew, with its own idea of dates and
    numbers, and refuses where it is nested deeper than 64 levels.
    """
    groups: dict[str, list[RoomFrame]] = {}
    for group, frame in told:
        groups.setdefault(group, []).append(frame)
    return [
        {"target": TARGET, "groupName": group, "arguments": [frames]}
        for group, of_group in groups.items()
        for frames in _cut(of_group)
    ]


def _cut(frames: Sequence[RoomFrame]) -> list[list[RoomFrame]]:
    cut: list[list[RoomFrame]] = []
    room = 0
    for frame in map(_fitting, frames):
        size = _size(frame)
        if size > room:
            cut.append([])
            room = MOST_BYTES - _AROUND
        cut[-1].append(frame)
        room -= size
    return cut


def _fitting(frame: RoomFrame) -> RoomFrame:
    """The frame, or if it alone is too large, one that says what there is to be read instead."""
    if _size(frame) <= MOST_BYTES - _AROUND:
        return frame
    data: dict[str, Any] = json.loads(frame.get("data", "{}"))
    return {**frame, "data": json.dumps(_abridged(data), separators=(",", ":"))}


def _abridged(data: dict[str, Any]) -> dict[str, Any]:
    """What names the thing, without the thing: ids, its sequence, its type; of what holds another thing, that too."""
    kept = {name: data[name] for name in ("type", "session_id", "message_id", "sequence") if name in data}
    held = {name: _abridged(data[name]) for name in ("session", "data") if isinstance(data.get(name), dict)}
    return {**kept, **held, "too_large": True}


def _size(frame: RoomFrame) -> int:
    return len(json.dumps(frame)) + len(", ")
