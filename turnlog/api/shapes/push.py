"""Pushed rooms: what a socket asks for, and the frames that it gets."""

from collections.abc import Mapping
from typing import Any, NamedTuple, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from turnlog.api.shapes.common import Body
from turnlog.api.shapes.rooms import FrameBody
from turnlog.domain.ids import OwnerHash, ProjectId, PublicId, SessionId, public_id
from turnlog.domain.rooms import RoomEntry


class Join(Body):
    """The argument of `join` and `leave`. One of both is named."""

    session_id: PublicId | None = Field(None, description="the session whose room to join")
    project_id: ProjectId | None = Field(None, description="the project whose room to join")


class Refusal(TypedDict):
    """Why a room was not joined. `code` is that of the problem which HTTP answers with."""

    code: str
    message: str
    retryable: bool


class JoinAnswer(TypedDict):
    """The acknowledgement of `join` and `leave`."""

    room: NotRequired[str]
    error: NotRequired[Refusal]


class PushFrame(NamedTuple):
    """One frame. `name` is None where frames have no name: then `data` has a `type`.

    `data` has these fields beside those of the stream's frame: `frame_id`, the same when the frame comes again;
    `session_id`; and, where the log still holds it, `sequence`: after it comes what the client has not seen.
    """

    name: str | None
    data: Mapping[str, Any]


def push_frame(entry: RoomEntry, frame_id: str, body: FrameBody) -> PushFrame:
    """The frame of a body that `RoomRenderer` rendered from `entry`."""
    ids: dict[str, Any] = {"session_id": public_id(entry.session_id)}
    if (sequence := _sequence(entry, body)) is not None:
        ids["sequence"] = sequence
    return PushFrame(body.name, {**ids, **body.data, "frame_id": frame_id})


def _sequence(entry: RoomEntry, body: FrameBody) -> int | None:
    """The sequence of the body's event. A new session comes before the events of its entry, everything else after."""
    match body.name or body.data["type"]:
        case "event":
            return body.data["data"]["sequence"]
        case "session_created" if entry.events:
            return entry.events[0].sequence - 1
        case _:
            return entry.events[-1].sequence if entry.events else None


class SocketIoNegotiation(TypedDict):
    """Where a client of Socket.IO connects: `io(url, {path, query: {access_token: token}})`."""

    url: str
    path: str
    token: str
    trace_id: str


class WebSocketNegotiation(TypedDict):
    """Where a WebSocket client connects, once."""

    url: str
    trace_id: str


def owner_group(owner: OwnerHash) -> str:
    """The group of Web PubSub for the WebSockets of one owner."""
    return f"owner_{owner}"


def bound_session_room(session_id: SessionId) -> str:
    """The room of a session in a service that owners share. Clients see `session_room`."""
    return f"session_{session_id}"


def session_room(session_id: PublicId) -> str:
    """The name of a session's room as its owner sees it."""
    return f"session_{session_id}"


def project_room(project_id: ProjectId) -> str:
    return f"project_{project_id}"
