"""HTTP functions of events: read the log in pages, export it, append to it from outside, stream it."""

from datetime import timedelta
from typing import Annotated

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response
from pydantic import Field

from turnlog.api.description.describes import EVENT_STREAM, Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.parameters import (
    AFTER,
    BEFORE,
    LAST_EVENT_ID,
    REPLAYED,
    Choice,
    EventTypes,
    Flag,
    Integer,
)
from turnlog.api.edge.principal import APPENDING, WRITING, caller_of
from turnlog.api.edge.producers import ONCE_ERRORS, ONCE_HEADERS, once_key
from turnlog.api.edge.requests import parse_events, public_id_of, read_bytes, session_id_of
from turnlog.api.edge.responses import NDJSON, export_response, no_content, ok, replay_header
from turnlog.api.edge.session_stream import EXAMPLE, EventFrames, StreamOptions, end_reason, session_stream
from turnlog.api.front_ends.ag_ui import connected_stream
from turnlog.api.front_ends.ai_sdk import ui_message_stream
from turnlog.api.shapes.events import MAX_EVENTS, AppendReceipt, EventPage, OutsideEvent, entry_view
from turnlog.domain.errors import CursorGoneError, SessionArchivedError, SessionNotFoundError
from turnlog.domain.ids import public_id
from turnlog.domain.session import SessionState
from turnlog.services.history import PageQuery
from turnlog.wiring import services

bp = df.Blueprint()

_LIMIT = Integer("limit", "the maximum number of entries", default=100, minimum=1, maximum=1000)
_ORDER = Choice("order", "`desc`: newest first", allowed=("asc", "desc"), default="asc")
_COALESCE = Flag(
    "coalesce", "join the deltas of each attempt, and leave out attempts that a later one replaced", default=True
)
_FROM = Choice("from", "`turn`: from the start of the active turn; 204 if no turn is active", allowed=("turn",))
_FOLLOW = Flag("follow", "continue with later turns", default=False)
_FORMAT = Choice(
    "format",
    "`named`: frames with `event:` and the event's `data`; `envelope`: unnamed frames with the whole event; `ai-sdk`:"
    " the active turn from its start, as a UI message stream of the AI SDK; `ag-ui`: the conversation and then the"
    " active turn, as AG-UI events",
    allowed=("named", "envelope", "ai-sdk", "ag-ui"),
    default="named",
)
_TYPES = EventTypes("types", "only events of these types, at most 32; `*` stands for any text, as in `tool_call.*`")
_EXPORT_EXAMPLE = """\
{"format":"turnlog-export","version":1,"session_id":"demo","epoch":1,"head":1,"exported_at":"2026-11-01T12:00:00Z"}
{"sequence":1,"timestamp":"2026-11-01T12:00:00Z","data":{"type":"session.created","thread_id":"thread_demo","owner":\
"local","metadata":{}},"type":"session.created","writer":"8f14e45fceea167a"}
"""
_STREAM = describes(
    Answer(200, "Frames, up to `done` or a planned end", media_type=EVENT_STREAM, example=EXAMPLE),
    Answer(204, "Nothing more will come; an `EventSource` stops reconnecting"),
    reads=(AFTER, _FROM, _FOLLOW, _FORMAT, _TYPES, LAST_EVENT_ID),
    refuses=(SessionNotFoundError, CursorGoneError),
    takes_ticket=True,
)


@bp.route("sessions/{session_id}/events", methods=["GET"])
@endpoint
@describes(
    Answer(200, "A page of events", EventPage),
    reads=(AFTER, BEFORE, _LIMIT, _TYPES, _ORDER, _COALESCE),
    refuses=(SessionNotFoundError, CursorGoneError),
)
async def list_events(req: Request) -> Response:
    """Read a page of the log from either end. A joined delta has its last `sequence`, and its first `first_sequence`.

    `next_cursor` is the `after` of the next page; with `order=desc` it is the `before`. A page may have fewer events
    than `limit`, even none, although there is a next page.
    """
    query, caller, session_id = req.query_params, caller_of(req), public_id_of(req)
    wanted = PageQuery(
        limit=_LIMIT.read(query),
        newest=_ORDER.read(query) == "desc",
        types=_TYPES.read(query),
        coalesce=_COALESCE.read(query) is not False,
        after=AFTER.read(query, services().log.incarnation),
        before=BEFORE.read(query, services().log.incarnation),
    )

    page = await services().history.page(caller.owner, session_id_of(req), wanted)

    body: EventPage = {
        "events": [entry_view(session_id, entry) for entry in page.entries],
        "next_cursor": page.next_cursor,
        "head": page.head,
        "session_id": session_id,
        "trace_id": caller.trace_id,
    }
    return ok(body)


@bp.route("sessions/{session_id}/export", methods=["GET"])
@endpoint
@describes(
    Answer(200, "A header, then one event per line", media_type=NDJSON, example=_EXPORT_EXAMPLE),
    refuses=(SessionNotFoundError,),
)
async def export_session(req: Request) -> Response:
    """Export the whole log as lines of JSON. State, usage and messages can be rebuilt from it."""
    caller, session_id = caller_of(req), session_id_of(req)

    header = await services().exports.header(caller.owner, session_id)

    return export_response(header, services().exports.events(session_id, header))


@bp.route("sessions/{session_id}/events", methods=["POST"])
@endpoint
@describes(
    Answer(201, "The events are appended", AppendReceipt),
    Answer(
        200,
        "An earlier request with this key, or with this number of the producer, appended them",
        AppendReceipt,
        headers=(REPLAYED,),
    ),
    takes=OutsideEvent | Annotated[list[OutsideEvent], Field(min_length=1, max_length=MAX_EVENTS)],
    reads=ONCE_HEADERS,
    refuses=(SessionNotFoundError, SessionArchivedError, *ONCE_ERRORS),
    scopes=(APPENDING, WRITING),
)
async def append_events(req: Request) -> Response:
    """Append an event of another producer, or a list of events: all of them or none."""
    caller, session_id, body = caller_of(req), public_id_of(req), await read_bytes(req)
    sent = parse_events(body, session_id)
    events = [(event.event_type, event.fields) for event in sent]

    appended = await services().outside_events.append(
        caller.owner, session_id_of(req), events, caller.trace_id, once_key(req, body)
    )

    receipt: AppendReceipt = {
        "sequences": list(appended.sequences),
        "session_id": session_id,
        "trace_id": caller.trace_id,
    }
    return ok(receipt, 200 if appended.replayed else 201, replay_header(replayed=appended.replayed))


@bp.route("sessions/{session_id}/stream", methods=["GET"])
@endpoint
@_STREAM
async def stream_session(req: Request) -> Response:
    """Stream the session's log as server-sent events: first what is there after the cursor, then what comes.

    Watch it with `curl -sN http://127.0.0.1:7071/sessions/demo/stream`; the page at `/api/docs` shows a stream only
    after its end. If a stream ends without `done`, resume it with the last `id:` as `last-event-id`. An `EventSource`,
    which sends no token, sends `?ticket=` with a ticket of the session.
    """
    return await _stream(req)


@bp.route("api/sessions/{session_id}/stream", methods=["GET"])
@endpoint
@_STREAM
async def stream_session_under_api(req: Request) -> Response:
    """The same stream at the path that the requirement documents name."""
    return await _stream(req)


async def _stream(req: Request) -> Response:
    query = req.query_params
    follows, form, types = _FOLLOW.read(query) or False, _FORMAT.read(query), _TYPES.read(query)
    owner = caller_of(req).owner
    state = await services().sessions.get(owner, session_id_of(req))
    after = await _start(req, state)  # also checks the cursors, which the formats of front ends do not use
    if form == "ag-ui":
        return await connected_stream(owner, state)
    if form == "ai-sdk":
        active = await services().messages.active(state)
        return no_content() if active is None else ui_message_stream(active, active.sequence - 1)
    if after is None or end_reason(state, after, follow=follows):
        # Without this answer, an EventSource would reconnect for ever.
        return no_content()
    options = StreamOptions(
        after=after,
        max_duration=timedelta(seconds=services().settings.stream_max_seconds),
        renderer=EventFrames(public_id(state.session_id), whole=form == "envelope"),
        follow=follows,
        types=types,
    )
    return session_stream(services().log, state.session_id, options)


async def _start(req: Request, state: SessionState) -> int | None:
    """The sequence after which to stream; None if the active turn was asked for and there is none."""
    query = req.query_params
    incarnation, start = services().log.incarnation, _FROM.read(query)
    after, last_seen = AFTER.read(query, incarnation), LAST_EVENT_ID.read(req.headers, incarnation)
    if "last-event-id" in req.headers:
        after = last_seen
    elif start == "turn" and "after" not in query:
        active = await services().messages.active(state)
        if active is None:
            return None
        after = active.sequence - 1
    return min(after, state.head)  # a cursor beyond the end of the log would never be reached
