"""HTTP function of fan-out: where a watcher connects that is told through SignalR instead of a stream."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response
from pydantic import ConfigDict, Field

from shared.api.description.describes import Answer, describes
from shared.api.edge.endpoint import endpoint
from shared.api.edge.parameters import Text
from shared.api.edge.principal import READING, caller
from shared.api.edge.requests import read_body
from shared.api.edge.responses import ok
from shared.api.shapes.bodies import Body
from shared.api.shapes.receipts import Negotiation
from shared.domain.errors import (
    FanoutUnavailableError,
    InvalidRequestError,
    NotSupportedError,
    ProjectNotFoundError,
    SessionNotFoundError,
)
from shared.domain.ids import ProjectId, SessionId
from shared.wiring import services

bp = df.Blueprint()

_SESSION_ID = Text("session_id", "as in the body, which goes before: what SignalR's clients can send")
_PROJECT_ID = Text("project_id", "the same")


class Watch(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"session_id": "demo"}]})

    session_id: SessionId | None = Field(None, description="the session to hear")
    project_id: ProjectId | None = Field(None, description="the project whose sessions to hear")


@bp.route("negotiate", methods=["POST"])
@endpoint
@describes(
    Answer(200, "Where to connect, and with which token", Negotiation),
    takes=Watch,
    reads=(_SESSION_ID, _PROJECT_ID),
    scopes=(READING,),
    refuses=(SessionNotFoundError, ProjectNotFoundError, NotSupportedError, FanoutUnavailableError),
)
async def negotiate(req: Request) -> Response:
    """Let a SignalR client hear a session, a project, or both: what its streams tell, as `frames` messages.

    `withUrl("<app>/?session_id=<id>")` of a SignalR client asks here each time it connects. The token is good for five
    minutes and one set of groups: connect at once, and ask again for every connection.
    """
    who, wanted = caller(req), await _wanted(req)

    connection = await services().fanout.connection(who.owner, wanted.session_id, wanted.project_id)

    headers = {"cache-control": "no-store", **({"x-session-id": wanted.session_id} if wanted.session_id else {})}
    return ok(Negotiation(url=connection.url, accessToken=connection.access_token, trace_id=who.trace_id), 200, headers)


async def _wanted(req: Request) -> Watch:
    """What is to be watched. Raises InvalidRequestError: nothing is named."""
    sent = await read_body(req, Watch)
    asked = {parameter.name: parameter.of(req.query_params) for parameter in (_SESSION_ID, _PROJECT_ID)}
    named = {name: value for name, value in {**asked, **sent.model_dump(exclude_none=True)}.items() if value}
    if not named:
        raise InvalidRequestError("Name what to watch: session_id, project_id, or both.")
    return Watch.model_validate(named)
