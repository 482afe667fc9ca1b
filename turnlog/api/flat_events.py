"""HTTP functions of flat events: append and list events in their older form, in which each one names its session."""

from typing import Any

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.principal import APPENDING, WRITING, caller_of
from turnlog.api.edge.producers import ONCE_ERRORS, ONCE_HEADERS, once_key
from turnlog.api.edge.requests import parse, public_id_of, read_bytes, session_id_of
from turnlog.api.edge.responses import ok
from turnlog.api.shapes.common import as_json
from turnlog.api.shapes.flat_events import FlatEvent, FlatEventList, FlatReceipt, flat_event
from turnlog.api.shapes.sessions import CreateSession
from turnlog.domain.errors import (
    ProjectNotFoundError,
    SessionArchivedError,
    SessionDeletedError,
    SessionNotFoundError,
)
from turnlog.domain.ids import PublicId, bound_id
from turnlog.services.history import PageQuery
from turnlog.wiring import services

bp = df.Blueprint()

_NEWEST = PageQuery(limit=1000, newest=True)


@bp.route("events", methods=["POST"])
@endpoint
@describes(
    Answer(200, "The event is appended", FlatReceipt),
    takes=FlatEvent,
    reads=ONCE_HEADERS,
    refuses=(SessionNotFoundError, SessionArchivedError, SessionDeletedError, ProjectNotFoundError, *ONCE_ERRORS),
    is_deprecated=True,
    scopes=(APPENDING, WRITING),
)
async def append_flat_event(req: Request) -> Response:
    """Append an event to the session that it names. A `session_start` creates the session if it does not exist."""
    caller, body = caller_of(req), await read_bytes(req)
    sent, key = parse(FlatEvent, body), once_key(req, body)
    session_id, event = PublicId(sent.session_id), (sent.event_type, sent.fields)
    req.state.session_id = session_id  # a refusal also names it

    opening = await _opening(caller.owner, sent)
    append = services().outside_events.append_flat
    bound = bound_id(caller.owner, session_id)
    appended = await append(caller.owner, bound, event, caller.trace_id, opening=opening, key=key)

    receipt: FlatReceipt = {
        "ok": True,
        "sequences": list(appended.sequences),
        "session_id": session_id,
        "trace_id": caller.trace_id,
    }
    return ok(receipt, headers={"x-session-id": session_id})


async def _opening(owner: str, sent: FlatEvent) -> dict[str, Any] | None:
    """The fields of the session that a `session_start` may create; None for other events."""
    if sent.event_type != "session_start":
        return None
    fields = parse(CreateSession, as_json(sent.session_fields)).model_dump(exclude={"session_id"})
    return await services().project_sessions.with_agent(owner, fields)


@bp.route("events/{session_id}", methods=["GET"])
@endpoint
@describes(Answer(200, "The events", FlatEventList), refuses=(SessionNotFoundError,), is_deprecated=True)
async def list_flat_events(req: Request) -> Response:
    """List the session's newest events, at most 1000, oldest first. Deltas are joined as in `/sessions/{id}/events`."""
    caller, session_id = caller_of(req), session_id_of(req)

    state = await services().sessions.get(caller.owner, session_id)
    page = await services().history.page(caller.owner, session_id, _NEWEST)

    events = [flat_event(state, entry.event) for entry in reversed(page.entries)]
    body: FlatEventList = {"events": events, "session_id": public_id_of(req), "trace_id": caller.trace_id}
    return ok(body)
