"""The messages that SignalR's output binding takes: frames, put together by group and cut to what the service takes."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from typing_extensions import TypedDict

from shared.api.shapes.room_frames import RoomFrame

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


def messages_of(told: Iterable[tuple[str, RoomFrame]], most_bytes: int = MOST_BYTES) -> list[Message]:
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
        for frames in _cut(of_group, most_bytes - _AROUND)
    ]


def _cut(frames: Sequence[RoomFrame], most: int) -> list[list[RoomFrame]]:
    cut: list[list[RoomFrame]] = []
    room = 0
    for each in frames:
        frame = each if _size(each) <= most else _abridged(each)
        size = _size(frame)
        if size > room:
            cut.append([])
            room = most
        cut[-1].append(frame)
        room -= size
    return cut


def _abridged(frame: RoomFrame) -> RoomFrame:
    """In the place of a frame that is too large by itself: one that says what there is to be read instead."""
    data: dict[str, Any] = json.loads(frame.get("data", "{}"))
    return {**frame, "data": json.dumps(_ids_of(data), separators=(",", ":"))}


def _ids_of(data: dict[str, Any]) -> dict[str, Any]:
    """What names a thing, without the thing: its ids, sequence and type, and those of what it holds."""
    kept = {name: data[name] for name in ("type", "session_id", "message_id", "sequence") if name in data}
    held = {name: _ids_of(data[name]) for name in ("session", "data") if isinstance(data.get(name), dict)}
    return {**kept, **held, "too_large": True}


def _size(frame: RoomFrame) -> int:
    return len(json.dumps(frame)) + len(", ")
