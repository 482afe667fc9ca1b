"""HTTP functions of tickets: let a page open one stream with `EventSource`, which can't send a token."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.principal import READING, caller_of
from turnlog.api.edge.requests import project_id_of, public_id_of, session_id_of
from turnlog.api.edge.responses import ok
from turnlog.api.edge.tickets import issue
from turnlog.api.shapes.tickets import ProjectTicket, SessionTicket
from turnlog.domain.errors import ProjectNotFoundError, SessionNotFoundError
from turnlog.wiring import services

bp = df.Blueprint()


@bp.route("sessions/{session_id}/ticket", methods=["POST"])
@endpoint
@describes(Answer(200, "The ticket", SessionTicket), refuses=(SessionNotFoundError,), scopes=(READING,))
async def create_session_ticket(req: Request) -> Response:
    """Get a ticket for the session's stream: send it as `?ticket=` there, in the place of a token.

    It is valid for five minutes, at most as long as your token, and only for reading. Until then it opens the stream
    any number of times, so an `EventSource` may reconnect with it. After that the answer is 401: ask for another one.
    An open stream continues when the ticket expires. It ends as planned, and at the latest when your token expires.
    """
    caller = caller_of(req)
    await services().sessions.get(caller.owner, session_id_of(req))

    ticket, expires_at = issue(req)

    body = SessionTicket(ticket=ticket, expires_at=expires_at, session_id=public_id_of(req), trace_id=caller.trace_id)
    return ok(body)


@bp.route("projects/{project_id}/ticket", methods=["POST"])
@endpoint
@describes(Answer(200, "The ticket", ProjectTicket), refuses=(ProjectNotFoundError,), scopes=(READING,))
async def create_project_ticket(req: Request) -> Response:
    """Get a ticket for the project's stream. It is as valid as that of a session."""
    caller = caller_of(req)
    project = await services().projects.get(caller.owner, project_id_of(req))

    ticket, expires_at = issue(req)

    body = ProjectTicket(ticket=ticket, expires_at=expires_at, project_id=project.id, trace_id=caller.trace_id)
    return ok(body)
