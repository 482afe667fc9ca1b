"""HTTP function of WebSockets: open a connection that receives an owner's room from Azure Web PubSub."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.principal import READING, caller_of
from turnlog.api.edge.responses import ok
from turnlog.api.shapes.push import WebSocketNegotiation, owner_group
from turnlog.domain.errors import NotSupportedError, PushUnavailableError
from turnlog.domain.ids import owner_hash
from turnlog.wiring import services

bp = df.Blueprint()


@bp.route("websocket/negotiate", methods=["POST"])
@endpoint
@describes(
    Answer(200, "Where to connect", WebSocketNegotiation),
    scopes=(READING,),
    refuses=(NotSupportedError, PushUnavailableError),
)
async def negotiate_websocket(req: Request) -> Response:
    """Let a WebSocket receive what happens in all your sessions: text frames as on `GET /stream`, without `init`.

    The URL is valid for one connection and five minutes. Read `GET /sessions` after the connection is open: what
    happened before is not sent.
    """
    caller = caller_of(req)

    url = await services().websockets.admit(owner_group(owner_hash(caller.owner)))

    return ok(WebSocketNegotiation(url=url, trace_id=caller.trace_id), headers={"cache-control": "no-store"})
