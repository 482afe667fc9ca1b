"""HTTP functions of rooms: what happens in all sessions of a project, or of the caller, as one stream."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import timedelta
from functools import cache

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.api.description.describes import EVENT_STREAM, Answer, describes
from shared.api.edge import framing
from shared.api.edge.endpoint import endpoint
from shared.api.edge.parameters import Text
from shared.api.edge.principal import caller
from shared.api.shapes.room_frames import RoomDelivery, RoomForm, RoomFrame
from shared.api.shapes.views import SessionView
from shared.domain.errors import ProjectNotFoundError
from shared.domain.ids import ProjectId
from shared.domain.rooms import Room
from shared.domain.session import SessionState
from shared.wiring import services

bp = df.Blueprint()

_CURSOR = r"^[0-9]{1,18}(~[0-9]{1,4})?$"
_AFTER = Text("after", "cursor: the `id:` of a frame, or 0 for everything that is kept", pattern=_CURSOR)
_LAST_EVENT_ID = Text(
    "last-event-id", "the last `id:` that was seen; goes before `after`", place="header", pattern=_CURSOR
)
_PROJECT_EXAMPLE = """: open

id: 41
event: init
data: {"sessions":[],"cursor":"41"}

id: 42
event: session_created
data: {"session":{"session_id":"demo","status":"running"}}

id: 47
event: token_usage
data: {"prompt_tokens":9,"completion_tokens":20,"total_tokens":29,"session_id":"demo","sequence":14}
"""
_EXAMPLE = """: open

id: 41
data: {"type":"init","sessions":[],"cursor":"41"}

id: 42~1
data: {"type":"session_created","session":{"session_id":"demo","status":"running"}}

id: 42
data: {"type":"event","data":{"sequence":1,"type":"session.created","session_id":"demo"}}
"""


@bp.route("projects/{project_id}/stream", methods=["GET"])
@endpoint
@describes(
    Answer(200, "Frames, until a planned end", RoomFrame, media_type=EVENT_STREAM, example=_PROJECT_EXAMPLE),
    reads=(_AFTER, _LAST_EVENT_ID),
    refuses=(ProjectNotFoundError,),
)
async def stream_project(req: Request) -> Response:
    """What happens in all sessions of the project: sessions that come, change and go, usage, answers, ends, errors.

    Without a cursor the first frame is `init`, with the newest sessions that are not archived. A frame may come twice,
    with the same `id:`. A stream that ends is to be resumed, with the last `id:` as `last-event-id`.
    """
    owner, project_id = caller(req).owner, ProjectId(req.path_params["project_id"])
    project = await services().projects.get(owner, project_id)
    room = Room(owner, project.id)

    return await _streamed(req, room, _form(is_named=True))


@bp.route("stream", methods=["GET"])
@endpoint
@describes(
    Answer(200, "Frames, until a planned end", RoomFrame, media_type=EVENT_STREAM, example=_EXAMPLE),
    reads=(_AFTER, _LAST_EVENT_ID),
)
async def stream_all(req: Request) -> Response:
    """What happens in all sessions of the caller, as unnamed frames that say their `type`: every event but deltas.

    Without a cursor the first frame is `init`, with the newest sessions that are not archived. A frame may come twice,
    with the same `id:`. A stream that ends is to be resumed, with the last `id:` as `last-event-id`.
    """
    room = Room(caller(req).owner)

    return await _streamed(req, room, _form(is_named=False))


async def _streamed(req: Request, room: Room, form: RoomForm) -> Response:
    seen, skipped = _cursor_of(req)
    opening = b""
    if seen is None:
        now = await services().rooms.snapshot(room)
        seen, opening = now.cursor, await form.opening(now.cursor, now.sessions)
    after = await services().rooms.existing_cursor(room, seen)
    lasting = timedelta(seconds=services().settings.stream_max_seconds)
    entries = services().rooms.follow(room, after, min(framing.HEARTBEAT, lasting))
    return framing.streaming(_opened(opening, framing.paced(entries, RoomDelivery(form, skipped), lasting)))


def _cursor_of(req: Request) -> tuple[int | None, int]:
    """The cursor that was sent, and how many frames after it were seen.

    Raises:
        InvalidRequestError: it is not the `id:` of a frame.
    """
    after, seen = _checked(_AFTER, req.query_params), _checked(_LAST_EVENT_ID, req.headers)
    cursor, _, skipped = (seen or after or "").partition("~")
    return int(cursor) if cursor else None, int(skipped or 0)


def _checked(parameter: Text, values: Mapping[str, str]) -> str | None:
    text = parameter.of(values)
    if text is not None and not re.fullmatch(_CURSOR, text):
        raise parameter.refusal("the `id:` of a frame, or 0")
    return text


async def _opened(opening: bytes, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(frames):
        if opening:
            yield opening
        async for each in frames:
            yield each


@cache
def _form(*, is_named: bool) -> RoomForm:
    return RoomForm(services().log, _view, is_named=is_named)


async def _view(state: SessionState) -> SessionView:
    return SessionView.of(state, diagnosis=await services().sessions.diagnosis(state))
