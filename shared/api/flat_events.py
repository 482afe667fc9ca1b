"""HTTP functions of events in their older form: flat, and naming their session themselves."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.api.description.describes import Answer, describes
from shared.api.edge.endpoint import endpoint
from shared.api.edge.principal import APPENDING, WRITING, caller
from shared.api.edge.producers import ONCE_ONLY, REFUSES_REPEATS, once_only
from shared.api.edge.requests import parsed, read_bytes
from shared.api.edge.responses import ok
from shared.api.sessions import session_id_of
from shared.api.shapes.bodies import CreateSession, FlatEvent
from shared.api.shapes.receipts import FlatEventList, FlatReceipt
from shared.api.shapes.views import as_json, flat_event
from shared.domain.errors import (
    SessionArchivedError,
    SessionDeletedError,
    SessionExistsError,
    SessionNotFoundError,
)
from shared.domain.ids import SessionId
from shared.services.history import PageQuery
from shared.wiring import services

bp = df.Blueprint()

_NEWEST = PageQuery(limit=1000, newest=True)


@bp.route("events", methods=["POST"])
@endpoint
@describes(
    Answer(200, "It is in the log", FlatReceipt),
    takes=FlatEvent,
    reads=ONCE_ONLY,
    refuses=(SessionNotFoundError, SessionArchivedError, SessionExistsError, SessionDeletedError, *REFUSES_REPEATS),
    is_deprecated=True,
    scopes=(APPENDING, WRITING),
)
async def append_flat_event(req: Request) -> Response:
    """Append an event to the session it names; `session_start` opens that session first if there is none."""
    who, body = caller(req), await read_bytes(req)
    sent, key = parsed(FlatEvent, body), once_only(req, body)
    session_id, event = SessionId(sent.session_id), (sent.event_type, sent.fields)
    req.state.session_id = session_id  # a refusal names it, too

    opening = None
    if sent.event_type == "session_start":
        wanted = parsed(CreateSession, as_json(sent.describing)).model_dump(exclude={"session_id"})
        opening = await services().project_sessions.with_agent(who.owner, wanted)

    append = services().events.append_flat
    appended = await append(who.owner, session_id, event, who.trace_id, opening=opening, key=key)

    receipt: FlatReceipt = {
        "ok": True,
        "sequences": list(appended.sequences),
        "session_id": session_id,
        "trace_id": who.trace_id,
    }
    return ok(receipt, headers={"x-session-id": session_id})


@bp.route("events/{session_id}", methods=["GET"])
@endpoint
@describes(Answer(200, "The events", FlatEventList), refuses=(SessionNotFoundError,), is_deprecated=True)
async def list_flat_events(req: Request) -> Response:
    """The session's newest events, at most 1000, oldest first; deltas are joined as `/sessions/{id}/events` does."""
    who, session_id = caller(req), session_id_of(req)

    state = await services().sessions.get(who.owner, session_id)
    page = await services().history.page(who.owner, session_id, _NEWEST)

    events = [flat_event(state, entry.event) for entry in reversed(page.entries)]
    body: FlatEventList = {"events": events, "session_id": session_id, "trace_id": who.trace_id}
    return ok(body)
