"""Admits callers to rooms, with the same answers as HTTP."""

from dataclasses import dataclass
from typing import Any

from azurefunctions.extensions.http.fastapi import Request
from pydantic import ValidationError
from starlette.requests import HTTPConnection

from turnlog.api.edge.principal import READING, Caller, identify, trace_id_of
from turnlog.api.shapes.push import Join, Refusal, bound_session_room, project_room, session_room
from turnlog.domain.errors import InvalidRequestError, TurnlogError
from turnlog.domain.ids import ProjectId, SessionId, bound_id, owner_hash
from turnlog.domain.rooms import Room
from turnlog.wiring import services


@dataclass(frozen=True)
class JoinedRoom:
    """A room that its owner has joined: of a project, or of the one session `session_id`.

    `name` is what clients see. `feed` is the feed that holds the room's entries: that of a session also holds those of
    the owner's other sessions.
    """

    name: str
    feed: Room
    project_id: ProjectId | None = None
    session_id: SessionId | None = None

    @property
    def shared_name(self) -> str:
        """The room's name in a service that owners share."""
        return self.name if self.session_id is None else bound_session_room(self.session_id)


async def identify_socket(connection: HTTPConnection, token: str | None = None) -> Caller:
    """The caller that opens a socket, who may read. `token` counts if there is no `authorization` header.

    Raises as `identify` does.
    """
    scope = {**connection.scope, "type": "http", "method": "GET"}
    if token is not None and "authorization" not in connection.headers:
        scope["headers"] = [*scope["headers"], (b"authorization", f"Bearer {token}".encode())]
    request = Request(scope)
    return await identify(request, trace_id_of(request), (READING,))


async def room_of(owner: str, wanted: Any) -> JoinedRoom:
    """The room that `wanted`, the argument of `join`, names.

    Raises:
        InvalidRequestError: it does not name one session or one project.
        SessionNotFoundError, ProjectNotFoundError: it does not exist, or it belongs to another owner.
    """
    room = named_room(owner, wanted)
    if room.session_id is not None:
        await services().sessions.get(owner, room.session_id)
    elif room.project_id is not None:
        await services().projects.get(owner, room.project_id)
    return room


def named_room(owner: str, wanted: Any) -> JoinedRoom:
    """The room that `wanted` names, whether it exists or not. Raises InvalidRequestError as `room_of` does."""
    join = _join(wanted)
    if join.session_id:
        feed, session_id = Room(owner_hash(owner)), bound_id(owner, join.session_id)
        return JoinedRoom(session_room(join.session_id), feed, session_id=session_id)
    project_id = ProjectId(join.project_id or "")
    return JoinedRoom(project_room(project_id), Room(owner_hash(owner), project_id), project_id=project_id)


def refusal_of(error: TurnlogError) -> Refusal:
    """What a client gets to know of `error`."""
    return {"code": error.code, "message": error.sentence or str(error), "retryable": error.retryable}


def _join(wanted: Any) -> Join:
    try:
        join = Join.model_validate(wanted)
    except ValidationError as error:
        raise InvalidRequestError("Send {session_id} or {project_id}, as text.") from error
    if bool(join.session_id) == bool(join.project_id):
        raise InvalidRequestError("Name one room: session_id or project_id.")
    return join
