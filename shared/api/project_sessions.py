"""HTTP functions of what belongs to a project: its sessions, started or found again, and what they used."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.api.description.describes import Answer, describes
from shared.api.edge.endpoint import endpoint
from shared.api.edge.parameters import IDEMPOTENCY_KEY, LOCATION, REPLAYED
from shared.api.edge.principal import caller
from shared.api.edge.requests import idempotency_key, parsed, read_bytes
from shared.api.edge.responses import ok
from shared.api.projects import project_id_of
from shared.api.sessions import LISTING, made, page_of, session_id_of, session_view
from shared.api.shapes.project_bodies import StartSession
from shared.api.shapes.project_views import ProjectUsage, SessionUsage
from shared.api.shapes.receipts import SessionPage
from shared.api.shapes.views import SessionView
from shared.domain.errors import IdempotencyKeyReusedError, ProjectNotFoundError, SessionNotFoundError
from shared.domain.usage import UsageSum
from shared.wiring import services

bp = df.Blueprint()


@bp.route("projects/{project_id}/sessions", methods=["POST"])
@endpoint
@describes(
    Answer(201, "A new session", SessionView, headers=(LOCATION,)),
    Answer(200, "The open session of this node", SessionView, headers=(LOCATION, REPLAYED)),
    takes=StartSession,
    reads=(IDEMPOTENCY_KEY,),
    refuses=(ProjectNotFoundError, IdempotencyKeyReusedError),
)
async def start_project_session(req: Request) -> Response:
    """Start the session of a node, or retrieve the one that is neither archived nor deleted; at once they give one."""
    body = await read_bytes(req)
    wanted, who, key = parsed(StartSession, body), caller(req), idempotency_key(req, body)
    node_id, fields = wanted.node_id, wanted.model_dump(exclude={"node_id"})

    start = services().project_sessions.start
    started = await start(who.owner, project_id_of(req), node_id, fields, who.trace_id, key=key)

    view = await session_view(started.state, trace_id=who.trace_id)
    return ok(view, 200 if started.found else 201, made(started.state, replayed=started.replayed))


@bp.route("projects/{project_id}/sessions", methods=["GET"])
@endpoint
@describes(Answer(200, "A page of sessions", SessionPage), reads=LISTING, refuses=(ProjectNotFoundError,))
async def list_project_sessions(req: Request) -> Response:
    """List the project's sessions, newest first."""
    project = await services().projects.get(caller(req).owner, project_id_of(req))

    page = await page_of(req, project.id)

    return ok(page)


@bp.route("projects/{project_id}/usage", methods=["GET"])
@endpoint
@describes(Answer(200, "The sum", ProjectUsage), refuses=(ProjectNotFoundError,))
async def get_project_usage(req: Request) -> Response:
    """What all sessions of the project used, deleted ones included."""
    who, project_id = caller(req), project_id_of(req)

    used = await services().project_sessions.usage(who.owner, project_id)

    return ok(ProjectUsage.of(project_id, used, who.trace_id))


@bp.route("sessions/{session_id}/usage", methods=["GET"])
@endpoint
@describes(Answer(200, "The sum", SessionUsage), refuses=(SessionNotFoundError,))
async def get_session_usage(req: Request) -> Response:
    """What the session used so far."""
    who = caller(req)

    state = await services().sessions.get(who.owner, session_id_of(req))

    used = UsageSum()
    used.add(state)
    return ok(SessionUsage.of(state.session_id, used, who.trace_id))
