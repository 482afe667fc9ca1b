"""HTTP functions of rooms: stream what happens in all sessions of a project, or in all of yours."""

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cache

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import EVENT_STREAM, Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.parameters import INCARNATION, Text, require_current
from turnlog.api.edge.principal import caller_of
from turnlog.api.edge.requests import project_id_of
from turnlog.api.edge.room_stream import RoomFrames, room_stream
from turnlog.api.edge.sse import HEARTBEAT
from turnlog.api.shapes.rooms import RoomFrame, RoomRenderer
from turnlog.domain.errors import CursorGoneError, ProjectNotFoundError
from turnlog.domain.ids import owner_hash
from turnlog.domain.rooms import Room
from turnlog.wiring import services

bp = df.Blueprint()

_CURSOR = rf"^[0-9]{{1,20}}(~[0-9]{{1,4}})?({INCARNATION})?$"
_AFTER = Text("after", "cursor: the `id:` of a frame, or 0 for everything that the room keeps", pattern=_CURSOR)
_LAST_EVENT_ID = Text(
    "last-event-id", "the last `id:` you received; overrides `after`", location="header", pattern=_CURSOR
)
_PROJECT_EXAMPLE = """: open

id: 41-8f14e45f
event: init
data: {"sessions":[],"cursor":"41-8f14e45f"}

id: 42-8f14e45f
event: session_created
data: {"session":{"session_id":"demo","status":"running"}}

id: 47-8f14e45f
event: token_usage
data: {"prompt_tokens":9,"completion_tokens":20,"total_tokens":29,"session_id":"demo","sequence":14}
"""
_EXAMPLE = """: open

id: 41-8f14e45f
data: {"type":"init","sessions":[],"cursor":"41-8f14e45f"}

id: 42~1-8f14e45f
data: {"type":"session_created","session":{"session_id":"demo","status":"running"}}

id: 42-8f14e45f
data: {"type":"event","data":{"sequence":1,"type":"session.created","session_id":"demo"}}
"""


@bp.route("projects/{project_id}/stream", methods=["GET"])
@endpoint
@describes(
    Answer(200, "Frames, up to a planned end", RoomFrame, media_type=EVENT_STREAM, example=_PROJECT_EXAMPLE),
    reads=(_AFTER, _LAST_EVENT_ID),
    refuses=(ProjectNotFoundError, CursorGoneError),
    takes_ticket=True,
)
async def stream_project(req: Request) -> Response:
    """Stream what happens in all sessions of the project: new, changed and deleted sessions, answers, usage, errors.

    Without a cursor the first frame is `init`, with the newest sessions that are not archived. A frame may come twice
    with the same `id:`. When the stream ends, resume it with the last `id:` as `last-event-id`. An `EventSource`, which
    sends no token, sends `?ticket=` with a ticket of the project.
    """
    owner = caller_of(req).owner
    project = await services().projects.get(owner, project_id_of(req))

    return await _stream(req, Room(owner_hash(owner), project.id), _frames(is_named=True))


@bp.route("stream", methods=["GET"])
@endpoint
@describes(
    Answer(200, "Frames, up to a planned end", RoomFrame, media_type=EVENT_STREAM, example=_EXAMPLE),
    reads=(_AFTER, _LAST_EVENT_ID),
    refuses=(CursorGoneError,),
)
async def stream_all(req: Request) -> Response:
    """Stream what happens in all your sessions: every event except deltas, in unnamed frames that have a `type`.

    Without a cursor the first frame is `init`, with the newest sessions that are not archived. A frame may come twice
    with the same `id:`. When the stream ends, resume it with the last `id:` as `last-event-id`.
    """
    room = Room(owner_hash(caller_of(req).owner))

    return await _stream(req, room, _frames(is_named=False))


async def _stream(req: Request, room: Room, frames: RoomFrames) -> Response:
    cursor, skipped = _read_cursor(req)
    init = b""
    if cursor is None:
        snapshot = await services().rooms.snapshot(room)
        cursor, init = snapshot.cursor, await frames.of_init(snapshot.cursor, snapshot.sessions)
    after = await services().rooms.existing_cursor(room, cursor)
    max_duration = timedelta(seconds=services().settings.stream_max_seconds)
    entries = services().rooms.follow(room, after, min(HEARTBEAT, max_duration))
    return room_stream(frames, entries, max_duration, init=init, skipped=skipped)


def _read_cursor(req: Request) -> tuple[int | None, int]:
    """The cursor that was sent, and how many frames after it the client has seen.

    Raises:
        InvalidRequestError: the text is not a cursor of a room. CursorGoneError: it is from before a restore.
    """
    after, last_seen = _checked(_AFTER, req.query_params), _checked(_LAST_EVENT_ID, req.headers)
    current = require_current(last_seen or after or "", services().log.incarnation)
    cursor, _, skipped = current.partition("~")
    return int(cursor) if cursor else None, int(skipped or 0)


def _checked(parameter: Text, values: Mapping[str, str]) -> str | None:
    text = parameter.read(values)
    if text is not None and not re.fullmatch(_CURSOR, text):
        raise parameter.error("the `id:` of a frame, or 0")
    return text


@cache
def _frames(*, is_named: bool) -> RoomFrames:
    log = services().log
    return RoomFrames(RoomRenderer(log, services().sessions, is_named=is_named), log.incarnation)
