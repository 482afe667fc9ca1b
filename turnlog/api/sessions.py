"""HTTP functions of sessions: create, list, read, change, delete, fork."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.parameters import (
    IDEMPOTENCY_KEY,
    LOCATION,
    PAGE_CURSOR,
    PAGE_LIMIT,
    REPLAYED,
    SESSION_LISTING,
    CommaList,
    Text,
)
from turnlog.api.edge.principal import caller_of
from turnlog.api.edge.requests import (
    idempotency_key,
    parse,
    public_id_of,
    read_body,
    read_bytes,
    session_filter,
    session_id_of,
)
from turnlog.api.edge.responses import no_content, ok, session_headers
from turnlog.api.shapes.events import envelope, event_data
from turnlog.api.shapes.sessions import (
    CreateSession,
    ForkSession,
    SessionPage,
    SessionResult,
    SessionStatus,
    SessionView,
    UpdateSession,
    view_page,
    view_session,
)
from turnlog.domain.errors import (
    IdempotencyKeyReusedError,
    NoResultError,
    NotFinishedError,
    ProjectNotFoundError,
    SessionDeletedError,
    SessionExistsError,
    SessionNotFoundError,
)
from turnlog.domain.ids import bound_id, public_id
from turnlog.scheduler import DurableTurnScheduler
from turnlog.services.fork import ForkRequest
from turnlog.wiring import services

bp = df.Blueprint()

_MAX_EVENTS = 1000
_PROJECT_ID = Text("project_id", "only sessions of this project")
_INCLUDE = CommaList("include", f"`event_log`: also the newest {_MAX_EVENTS} events")


@bp.route("sessions", methods=["POST"])
@endpoint
@describes(
    Answer(201, "The session", SessionView, headers=(LOCATION, REPLAYED)),
    takes=CreateSession,
    reads=(IDEMPOTENCY_KEY,),
    refuses=(SessionExistsError, SessionDeletedError, ProjectNotFoundError, IdempotencyKeyReusedError),
)
async def create_session(req: Request) -> Response:
    """Create a session. A retry with the same Idempotency-Key returns the session that the first request created."""
    body = await read_bytes(req)
    sent, caller, key = parse(CreateSession, body), caller_of(req), idempotency_key(req, body)
    req.state.session_id = sent.session_id  # a refusal also names it

    fields = await services().project_sessions.with_agent(caller.owner, sent.model_dump(exclude={"session_id"}))
    session_id = None if sent.session_id is None else bound_id(caller.owner, sent.session_id)
    state, replayed = await services().sessions.create(caller.owner, fields, session_id, caller.trace_id, key)

    view = await view_session(services().sessions, state, trace_id=caller.trace_id)
    return ok(view, 201, session_headers(state, replayed=replayed))


@bp.route("sessions", methods=["GET"])
@endpoint
@describes(Answer(200, "A page of sessions", SessionPage), reads=(_PROJECT_ID, *SESSION_LISTING))
async def list_sessions(req: Request) -> Response:
    """List your sessions, newest first."""
    query, caller = req.query_params, caller_of(req)
    wanted = session_filter(query, caller.owner, _PROJECT_ID.read(query))

    page = await services().sessions.list(wanted, PAGE_CURSOR.read(query), PAGE_LIMIT.read(query))

    return ok(await view_page(services().sessions, page, caller.trace_id))


@bp.route("sessions/{session_id}", methods=["GET"])
@endpoint
@describes(Answer(200, "The session", SessionView), reads=(_INCLUDE,), refuses=(SessionNotFoundError,))
async def get_session(req: Request) -> Response:
    """Read the session as it is now, with the tool calls of its log and, on request, the newest events of the log."""
    caller, sessions = caller_of(req), services().sessions
    log_size = _MAX_EVENTS if "event_log" in _INCLUDE.read(req.query_params) else None

    state = await sessions.get(caller.owner, session_id_of(req))
    calls = await sessions.newest_events(state.session_id, "tool_call.complete", _MAX_EVENTS)
    newest = None if log_size is None else await sessions.tail(state, log_size)

    session_id = public_id(state.session_id)
    steps = [event_data(session_id, event) for event in calls]
    event_log = None if newest is None else [envelope(session_id, event) for event in newest]
    return ok(await view_session(sessions, state, steps=steps, event_log=event_log, trace_id=caller.trace_id))


@bp.route("sessions/{session_id}", methods=["PATCH"])
@endpoint
@describes(
    Answer(200, "The session after the change", SessionView), takes=UpdateSession, refuses=(SessionNotFoundError,)
)
async def update_session(req: Request) -> Response:
    """Change the name, agent, metadata, archived flag or budget (RFC 7396)."""
    caller = caller_of(req)
    patch = (await read_body(req, UpdateSession)).model_dump(exclude_unset=True)

    state = await services().sessions.update(caller.owner, session_id_of(req), patch, caller.trace_id)

    return ok(await view_session(services().sessions, state, trace_id=caller.trace_id))


@bp.route("sessions/{session_id}", methods=["DELETE"])
@bp.durable_client_input(client_name="client")
@endpoint
@describes(Answer(204, "The session is deleted"), refuses=(SessionNotFoundError,))
async def delete_session(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Stop the running turn and delete the session. From now on it is not found, and its content is removed."""
    caller = caller_of(req)

    deleted = await services().sessions.delete(caller.owner, session_id_of(req), caller.trace_id)
    await services().webhooks.announce_deletion(deleted, DurableTurnScheduler(client, services().settings))

    return no_content()


@bp.route("sessions/{session_id}/status", methods=["GET"])
@endpoint
@describes(Answer(200, "The status", SessionStatus))
async def get_session_status(req: Request) -> Response:
    """Read the status: `running`, `finished` or `not_existent`. The answer is always 200."""
    caller = caller_of(req)

    status = await services().sessions.status(caller.owner, session_id_of(req))

    body: SessionStatus = {"session_id": public_id_of(req), "status": status, "trace_id": caller.trace_id}
    return ok(body)


@bp.route("sessions/{session_id}/result", methods=["GET"])
@endpoint
@describes(Answer(200, "The result", SessionResult), refuses=(SessionNotFoundError, NotFinishedError, NoResultError))
async def get_session_result(req: Request) -> Response:
    """Read the text of the last assistant message."""
    caller = caller_of(req)

    result = await services().sessions.result(caller.owner, session_id_of(req))

    body: SessionResult = {"session_id": public_id_of(req), "result": result, "trace_id": caller.trace_id}
    return ok(body)


@bp.route("sessions/{session_id}/fork", methods=["POST"])
@endpoint
@describes(
    Answer(201, "The new session", SessionView, headers=(LOCATION, REPLAYED)),
    takes=ForkSession,
    reads=(IDEMPOTENCY_KEY,),
    refuses=(SessionNotFoundError, SessionExistsError, SessionDeletedError, IdempotencyKeyReusedError),
)
async def fork_session(req: Request) -> Response:
    """Create a session with the same past: the log up to the end of the last turn, or of the last before `at_sequence`.

    Sequences and times stay the same. The session, its turns and its messages get new ids. Usage is not counted again.
    """
    body = await read_bytes(req)
    sent, caller, key = parse(ForkSession, body), caller_of(req), idempotency_key(req, body)

    request = ForkRequest(caller.trace_id, sent.at_sequence, sent.session_name)
    state, replayed = await services().forks.fork(caller.owner, session_id_of(req), request, key)

    view = await view_session(services().sessions, state, trace_id=caller.trace_id)
    return ok(view, 201, session_headers(state, replayed=replayed))
