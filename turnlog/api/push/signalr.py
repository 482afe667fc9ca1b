"""HTTP function of SignalR: open a connection that receives frames from Azure SignalR Service instead of a stream."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.parameters import Text
from turnlog.api.edge.principal import READING, caller_of
from turnlog.api.edge.requests import read_body
from turnlog.api.edge.responses import ok
from turnlog.api.shapes.signalr import Negotiation, Watch, project_group, session_group
from turnlog.domain.errors import (
    InvalidRequestError,
    NotSupportedError,
    ProjectNotFoundError,
    PushUnavailableError,
    SessionNotFoundError,
)
from turnlog.domain.ids import bound_id
from turnlog.wiring import services

bp = df.Blueprint()

_SESSION_ID = Text("session_id", "the same as in the body, for SignalR clients, which can send only a query")
_PROJECT_ID = Text("project_id", "the same")


@bp.route("negotiate", methods=["POST"])
@endpoint
@describes(
    Answer(200, "Where to connect, and with which token", Negotiation),
    takes=Watch,
    reads=(_SESSION_ID, _PROJECT_ID),
    scopes=(READING,),
    refuses=(SessionNotFoundError, ProjectNotFoundError, NotSupportedError, PushUnavailableError),
)
async def negotiate(req: Request) -> Response:
    """Let a SignalR client receive the frames of a session, a project, or both, as `frames` messages.

    A SignalR client with `withUrl("<app>/?session_id=<id>")` sends this request each time it connects. The token is
    valid for five minutes and for these groups only: connect at once, and ask again for every connection.
    """
    caller, watch = caller_of(req), await _read_watch(req)
    groups = await _groups(caller.owner, watch)

    connection = await services().signalr.admit(groups)

    headers = {"cache-control": "no-store", **({"x-session-id": watch.session_id} if watch.session_id else {})}
    body = Negotiation(url=connection.url, accessToken=connection.access_token, trace_id=caller.trace_id)
    return ok(body, headers=headers)


async def _read_watch(req: Request) -> Watch:
    """What the client wants to watch: the body, then the query. Raises InvalidRequestError: nothing is named."""
    body = await read_body(req, Watch)
    query = {parameter.name: parameter.read(req.query_params) for parameter in (_SESSION_ID, _PROJECT_ID)}
    named = {name: value for name, value in {**query, **body.model_dump(exclude_none=True)}.items() if value}
    if not named:
        raise InvalidRequestError("Name what to watch: session_id, project_id, or both.")
    return Watch.model_validate(named)


async def _groups(owner: str, watch: Watch) -> list[str]:
    """The groups of what the client wants to watch.

    Raises:
        SessionNotFoundError, ProjectNotFoundError: it does not exist, or it belongs to another owner.
    """
    groups: list[str] = []
    if watch.session_id is not None:
        session_id = bound_id(owner, watch.session_id)
        groups.append(session_group((await services().sessions.get(owner, session_id)).session_id))
    if watch.project_id is not None:
        groups.append(project_group((await services().projects.get(owner, watch.project_id)).id))
    return groups
