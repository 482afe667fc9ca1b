"""HTTP functions of Socket.IO: open a connection to Azure Web PubSub, and decide which rooms its sockets join."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.parameters import Text
from turnlog.api.edge.principal import READING, caller_of, trace_id_of
from turnlog.api.edge.problems import problem
from turnlog.api.edge.responses import ok
from turnlog.api.push.socketio_events import answer_event, user_of_owner
from turnlog.api.shapes.push import SocketIoNegotiation
from turnlog.domain.errors import ForbiddenError, NotSupportedError, PushUnavailableError, UnauthenticatedError
from turnlog.settings import settings
from turnlog.wiring import services

bp = df.Blueprint()

_TEXT = "text/plain"
_ORIGIN = Text("webhook-request-origin", "the host of the service that asks", location="header")
_ALLOWED = Text("webhook-allowed-origin", "the same host: it may send events", location="header")
_SIGNATURE = Text("ce-signature", "`sha256=` and the HMAC of the connection's id with an access key", location="header")


@bp.route("socketio/negotiate", methods=["POST"])
@endpoint
@describes(
    Answer(200, "Where to connect, and with which token", SocketIoNegotiation),
    scopes=(READING,),
    refuses=(NotSupportedError, PushUnavailableError),
)
async def negotiate_socketio(req: Request) -> Response:
    """Let a client of Socket.IO connect to Azure Web PubSub. Then it emits `join` with a session or a project.

    The token is valid for five minutes: connect at once, and ask again for every connection.
    """
    caller = caller_of(req)

    connection = await services().socketio.admit(user_of_owner(caller.owner))

    body = SocketIoNegotiation(
        url=connection.url, path=connection.path, token=connection.token, trace_id=caller.trace_id
    )
    return ok(body, headers={"cache-control": "no-store"})


@bp.route("socketio/events", methods=["OPTIONS"])
@describes(
    Answer(200, "The service may send events here", headers=(_ALLOWED,)),
    reads=(_ORIGIN,),
    refuses=(ForbiddenError,),
    is_public=True,
)
async def allow_socketio_events(req: Request) -> Response:
    """Answer Web PubSub, which asks before it sends its first event (CloudEvents' abuse protection)."""
    hosts = [host.strip() for host in req.headers.get(_ORIGIN.name, "").split(",")]
    service = (settings().socketio_endpoint or "").partition("://")[2].rstrip("/")
    if not service or service not in hosts:
        return _answer(req, ForbiddenError("Only the configured service sends events here."))
    return _answer(req, Response(headers={_ALLOWED.name: service}))


@bp.route("socketio/events", methods=["POST"])
@describes(
    Answer(200, "The socket is admitted, or its acknowledgement", media_type=_TEXT, example='430[{"room":"a"}]'),
    Answer(204, "There is nothing to answer"),
    reads=(_SIGNATURE,),
    refuses=(UnauthenticatedError, ForbiddenError, NotSupportedError),
    is_public=True,
)
async def receive_socketio_event(req: Request) -> Response:
    """Take an event of Web PubSub: a socket connects, joins a room, or leaves it. Only Web PubSub calls this."""
    try:
        answer = await answer_event(req.headers, await req.body())
    except Exception as error:  # noqa: BLE001  # as @endpoint, which identifies callers by their account
        return _answer(req, error)
    return _answer(req, Response(status_code=204) if answer is None else Response(answer, media_type=_TEXT))


def _answer(req: Request, result: Response | Exception) -> Response:
    # Without @endpoint: the service has no account here, it signs its events.
    trace_id = trace_id_of(req)
    response = problem(result, trace_id) if isinstance(result, Exception) else result
    response.headers["x-trace-id"] = trace_id
    response.headers["x-content-type-options"] = "nosniff"
    response.headers["cache-control"] = "no-store"
    return response
