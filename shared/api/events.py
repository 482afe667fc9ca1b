"""HTTP functions of the log: read it in pages, stream it, append to it from outside."""

from datetime import timedelta

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.api.endpoint import endpoint
from shared.api.principal import caller
from shared.api.requests import choice, cursor, flag, idempotency_key, integer, parsed_events, read_bytes
from shared.api.responses import no_content, ok
from shared.api.sessions import session_id_of
from shared.api.sse import StreamOptions, ending, event_stream
from shared.api.views import envelope
from shared.wiring import services

bp = df.Blueprint()

_MOST_LISTED = 1000


@bp.route("sessions/{session_id}/events", methods=["GET"])
@endpoint
async def list_events(req: Request) -> Response:
    """A page of the log, oldest first, as it was written."""
    query, who, session_id = req.query_params, caller(req), session_id_of(req)
    limit = integer(query, "limit", 100, least=1, most=_MOST_LISTED)

    page = await services().events.page(who.owner, session_id, cursor(query, "after"), limit)

    body = {"events": [envelope(session_id, event) for event in page.events], "next_cursor": page.next_cursor}
    return ok(body | {"head": page.head, "session_id": session_id, "trace_id": who.trace_id})


@bp.route("sessions/{session_id}/events", methods=["POST"])
@endpoint
async def append_events(req: Request) -> Response:
    """Append an event of another producer, or a list of them, all or none."""
    who, session_id, body = caller(req), session_id_of(req), await read_bytes(req)
    sent = parsed_events(body, session_id)

    events = [(event.event_type, event.fields) for event in sent]
    appended = await services().events.append(who.owner, session_id, events, who.trace_id, idempotency_key(req, body))

    status, headers = (200, {"idempotency-replayed": "true"}) if appended.replayed else (201, {})
    receipt = {"sequences": list(appended.sequences), "session_id": session_id, "trace_id": who.trace_id}
    return ok(receipt, status, headers)


@bp.route("sessions/{session_id}/stream", methods=["GET"])
@endpoint
async def stream_session(req: Request) -> Response:
    """The session's log as server-sent events: replayed from a cursor, then followed."""
    return await _stream(req)


@bp.route("api/sessions/{session_id}/stream", methods=["GET"])
@endpoint
async def stream_session_under_api(req: Request) -> Response:
    """The same, where the requirement documents look for it."""
    return await _stream(req)


async def _stream(req: Request) -> Response:
    query, session_id = req.query_params, session_id_of(req)
    state = await services().sessions.get(caller(req).owner, session_id)
    follows = flag(query, "follow") or False
    after = cursor(req.headers, "last-event-id") if "last-event-id" in req.headers else cursor(query, "after")
    if choice(query, "from", "", ("", "turn")) and "last-event-id" not in req.headers and "after" not in query:
        if state.active_turn is None:
            return no_content()
        after = await services().turns.start_of(state)
    after = min(after, state.head)  # a cursor from beyond the log's end would never be reached
    if after == state.head and ending(state, after, follow=follows):
        # An EventSource goes on reconnecting until it is told, by this, that there is nothing to come.
        return no_content()
    options = StreamOptions(
        after=after,
        lasting=timedelta(seconds=services().settings.stream_max_seconds),
        envelope=choice(query, "format", "named", ("named", "envelope")) == "envelope",
        follow=follows,
        types=tuple(filter(None, query.get("types", "").split(","))),
    )
    return event_stream(services().log, session_id, options)
