"""HTTP functions of a project's sessions: start one or find it again, list them, read what they used."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.parameters import IDEMPOTENCY_KEY, LOCATION, PAGE_CURSOR, PAGE_LIMIT, REPLAYED, SESSION_LISTING
from turnlog.api.edge.principal import caller_of
from turnlog.api.edge.requests import (
    idempotency_key,
    parse,
    project_id_of,
    public_id_of,
    read_bytes,
    session_filter,
    session_id_of,
)
from turnlog.api.edge.responses import ok, session_headers
from turnlog.api.shapes.projects import StartSession
from turnlog.api.shapes.sessions import SessionPage, SessionView, view_page, view_session
from turnlog.api.shapes.usage import ProjectUsage, SessionUsage
from turnlog.domain.errors import IdempotencyKeyReusedError, ProjectNotFoundError, SessionNotFoundError
from turnlog.domain.usage import UsageSum
from turnlog.wiring import services

bp = df.Blueprint()


@bp.route("projects/{project_id}/sessions", methods=["POST"])
@endpoint
@describes(
    Answer(201, "A new session", SessionView, headers=(LOCATION,)),
    Answer(200, "The current session of this node", SessionView, headers=(LOCATION, REPLAYED)),
    takes=StartSession,
    reads=(IDEMPOTENCY_KEY,),
    refuses=(ProjectNotFoundError, IdempotencyKeyReusedError),
)
async def start_project_session(req: Request) -> Response:
    """Start the session of a node, or return its current one, which is neither archived nor deleted.

    Requests at the same time get the same session.
    """
    body = await read_bytes(req)
    sent, caller, key = parse(StartSession, body), caller_of(req), idempotency_key(req, body)
    node_id, fields = sent.node_id, sent.model_dump(exclude={"node_id"})

    start = services().project_sessions.start
    started = await start(caller.owner, project_id_of(req), node_id, fields, caller.trace_id, key=key)

    view = await view_session(services().sessions, started.state, trace_id=caller.trace_id)
    return ok(view, 200 if started.found else 201, session_headers(started.state, replayed=started.replayed))


@bp.route("projects/{project_id}/sessions", methods=["GET"])
@endpoint
@describes(Answer(200, "A page of sessions", SessionPage), reads=SESSION_LISTING, refuses=(ProjectNotFoundError,))
async def list_project_sessions(req: Request) -> Response:
    """List the project's sessions, newest first."""
    query, caller = req.query_params, caller_of(req)
    wanted = session_filter(query, caller.owner, project_id_of(req))

    await services().projects.get(caller.owner, project_id_of(req))
    page = await services().sessions.list(wanted, PAGE_CURSOR.read(query), PAGE_LIMIT.read(query))

    return ok(await view_page(services().sessions, page, caller.trace_id))


@bp.route("projects/{project_id}/usage", methods=["GET"])
@endpoint
@describes(Answer(200, "The usage", ProjectUsage), refuses=(ProjectNotFoundError,))
async def get_project_usage(req: Request) -> Response:
    """Read what all sessions of the project used, also the deleted ones."""
    caller, project_id = caller_of(req), project_id_of(req)

    used = await services().project_sessions.usage(caller.owner, project_id)

    return ok(ProjectUsage.of(project_id, used, caller.trace_id))


@bp.route("sessions/{session_id}/usage", methods=["GET"])
@endpoint
@describes(Answer(200, "The usage", SessionUsage), refuses=(SessionNotFoundError,))
async def get_session_usage(req: Request) -> Response:
    """Read what the session has used."""
    caller = caller_of(req)

    state = await services().sessions.get(caller.owner, session_id_of(req))

    used = UsageSum(state.budget)
    used.add(state)
    return ok(SessionUsage.of(public_id_of(req), used, caller.trace_id))
