"""HTTP functions of the log: read it in pages, stream it, append to it from outside."""

from datetime import timedelta
from typing import Annotated

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response
from pydantic import Field

from shared.api.description.describes import EVENT_STREAM, Answer, describes
from shared.api.edge.endpoint import endpoint
from shared.api.edge.parameters import (
    AFTER,
    LAST_EVENT_ID,
    MAX_SEQUENCE,
    REPLAYED,
    Choice,
    CommaList,
    Flag,
    Integer,
)
from shared.api.edge.principal import APPENDING, WRITING, caller
from shared.api.edge.producers import ONCE_ONLY, REFUSES_REPEATS, once_only
from shared.api.edge.requests import parsed_events, read_bytes
from shared.api.edge.responses import no_content, ok
from shared.api.edge.sse import EXAMPLE, StreamOptions, ending, event_stream
from shared.api.exporting import EXPORT_EXAMPLE, NDJSON, export_response
from shared.api.sessions import session_id_of
from shared.api.shapes.bodies import MAX_EVENTS, OutsideEvent
from shared.api.shapes.receipts import AppendReceipt, EventPage
from shared.api.shapes.views import entry_view
from shared.domain.errors import SessionArchivedError, SessionNotFoundError
from shared.services.history import PageQuery
from shared.wiring import services

bp = df.Blueprint()

_LIMIT = Integer("limit", "how many at most", default=100, least=1, most=1000)
_BEFORE = Integer("before", "only events earlier than this sequence", default=MAX_SEQUENCE, most=MAX_SEQUENCE)
_ORDER = Choice("order", "`desc`: the newest first", allowed=("asc", "desc"), default="asc")
_COALESCE = Flag(
    "coalesce",
    "join deltas per step and attempt, and leave out attempts that a later one made void",
    default=True,
)
_FROM = Choice("from", "`turn`: from the start of the active turn; 204 when there is none", allowed=("turn",))
_FOLLOW = Flag("follow", "go on to later turns", default=False)
_FORMAT = Choice(
    "format",
    "`named`: frames with `event:`, and the event's `data`; `envelope`: the whole event as `data:`",
    allowed=("named", "envelope"),
    default="named",
)
_TYPES = CommaList("types", "only events of these types; `*` stands for any text, as in `tool_call.*`")
_READ_STREAM = describes(
    Answer(200, "Frames, until `done` or a planned end", media_type=EVENT_STREAM, example=EXAMPLE),
    Answer(204, "Nothing to come: an `EventSource` stops reconnecting"),
    reads=(AFTER, _FROM, _FOLLOW, _FORMAT, _TYPES, LAST_EVENT_ID),
    refuses=(SessionNotFoundError,),
)


@bp.route("sessions/{session_id}/events", methods=["GET"])
@endpoint
@describes(
    Answer(200, "A page of events", EventPage),
    reads=(AFTER, _BEFORE, _LIMIT, _TYPES, _ORDER, _COALESCE),
    refuses=(SessionNotFoundError,),
)
async def list_events(req: Request) -> Response:
    """A page of the log from either end. A joined delta has `first_sequence`; its `sequence` is that of the last one.

    `next_cursor` is the next page's `after`, or its `before` with `order=desc`. A page may hold fewer events than
    `limit`, even none, and have a next one.
    """
    query, who, session_id = req.query_params, caller(req), session_id_of(req)
    wanted = PageQuery(
        after=AFTER.of(query),
        before=_BEFORE.of(query),
        limit=_LIMIT.of(query),
        newest=_ORDER.of(query) == "desc",
        types=_TYPES.of(query),
        coalesce=_COALESCE.of(query) is not False,
    )

    page = await services().history.page(who.owner, session_id, wanted)

    body: EventPage = {
        "events": [entry_view(session_id, entry) for entry in page.entries],
        "next_cursor": page.next_cursor,
        "head": page.head,
        "session_id": session_id,
        "trace_id": who.trace_id,
    }
    return ok(body)


@bp.route("sessions/{session_id}/export", methods=["GET"])
@endpoint
@describes(
    Answer(200, "A header, then an event a line", media_type=NDJSON, example=EXPORT_EXAMPLE),
    refuses=(SessionNotFoundError,),
)
async def export_session(req: Request) -> Response:
    """The whole log as lines of JSON, from which state, usage and messages can be rebuilt."""
    who, session_id = caller(req), session_id_of(req)

    header = await services().exports.header(who.owner, session_id)

    return export_response(header, services().exports.events(header))


@bp.route("sessions/{session_id}/events", methods=["POST"])
@endpoint
@describes(
    Answer(201, "They are in the log", AppendReceipt),
    Answer(
        200, "An earlier request with this key, or of this producer, appended them", AppendReceipt, headers=(REPLAYED,)
    ),
    takes=OutsideEvent | Annotated[list[OutsideEvent], Field(min_length=1, max_length=MAX_EVENTS)],
    reads=ONCE_ONLY,
    refuses=(SessionNotFoundError, SessionArchivedError, *REFUSES_REPEATS),
    scopes=(APPENDING, WRITING),
)
async def append_events(req: Request) -> Response:
    """Append an event of another producer, or a list of them, all or none."""
    who, session_id, body = caller(req), session_id_of(req), await read_bytes(req)
    sent = parsed_events(body, session_id)

    events = [(event.event_type, event.fields) for event in sent]
    appended = await services().events.append(who.owner, session_id, events, who.trace_id, once_only(req, body))

    status, headers = (200, {"idempotency-replayed": "true"}) if appended.replayed else (201, {})
    receipt: AppendReceipt = {
        "sequences": list(appended.sequences),
        "session_id": session_id,
        "trace_id": who.trace_id,
    }
    return ok(receipt, status, headers)


@bp.route("sessions/{session_id}/stream", methods=["GET"])
@endpoint
@_READ_STREAM
async def stream_session(req: Request) -> Response:
    """The session's log as server-sent events: replayed from a cursor, then followed.

    Watch it with `curl -sN http://127.0.0.1:7071/sessions/demo/stream`: the page at `/api/docs` shows a stream only
    when it has ended. One that ends without `done` is to be resumed, with the last `id:` as `last-event-id`.
    """
    return await _stream(req)


@bp.route("api/sessions/{session_id}/stream", methods=["GET"])
@endpoint
@_READ_STREAM
async def stream_session_under_api(req: Request) -> Response:
    """The same, where the requirement documents look for it."""
    return await _stream(req)


async def _stream(req: Request) -> Response:
    query, session_id = req.query_params, session_id_of(req)
    state = await services().sessions.get(caller(req).owner, session_id)
    follows, form = _FOLLOW.of(query) or False, _FORMAT.of(query)
    after, seen = AFTER.of(query), LAST_EVENT_ID.of(req.headers)
    if "last-event-id" in req.headers:
        after = seen
    if _FROM.of(query) == "turn" and "last-event-id" not in req.headers and "after" not in query:
        if state.active_turn is None:
            return no_content()
        after = await services().messages.turn_cursor(state)
    after = min(after, state.head)  # a cursor from beyond the log's end would never be reached
    if after == state.head and ending(state, after, follow=follows):
        # An EventSource goes on reconnecting until it is told, by this, that there is nothing to come.
        return no_content()
    options = StreamOptions(
        after=after,
        lasting=timedelta(seconds=services().settings.stream_max_seconds),
        envelope=form == "envelope",
        follow=follows,
        types=_TYPES.of(query),
    )
    return event_stream(services().log, session_id, options)
