"""What Web PubSub for Socket.IO reports: sockets that connect, and what they send.

Headers and bodies: learn.microsoft.com/azure/azure-web-pubsub/socket-io-serverless-protocol. The service signs each
event with its access keys. It knows the user from the token that `POST /socketio/negotiate` gave to the client.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from turnlog.api.push.admission import named_room, refusal_of, room_of
from turnlog.api.shapes.common import as_json
from turnlog.api.shapes.push import JoinAnswer
from turnlog.domain.errors import (
    ForbiddenError,
    InvalidRequestError,
    NotSupportedError,
    TurnlogError,
    UnauthenticatedError,
)
from turnlog.settings import settings
from turnlog.wiring import services

_NAMESPACE = "/"
_CONNECT = "azure.webpubsub.sys.connect"
_MESSAGE = "azure.webpubsub.user.message"
_JOIN, _LEAVE = {"join", "subscribe"}, {"leave", "unsubscribe"}
_PACKET = re.compile(r"42(?P<ack>[0-9]{0,15})(?P<arguments>\[.*\])", re.DOTALL)
_MAX_BYTES = 16 * 1024


@dataclass(frozen=True)
class _Event:
    kind: str
    name: str
    namespace: str
    socket_id: str
    user: str | None
    body: bytes


def user_of_owner(owner: str) -> str:
    """The name of an owner's connections in Web PubSub. It comes back in a header, so it is plain ASCII."""
    return base64.urlsafe_b64encode(owner.encode()).decode()


async def answer_event(headers: Mapping[str, str], body: bytes) -> str | None:
    """Do what an event asks for. Return the acknowledgement for its socket, empty to admit it, None for neither.

    Raises:
        UnauthenticatedError: the event is not signed by the service. ForbiddenError: the socket is not admitted.
        NotSupportedError: no service is configured. InvalidRequestError: the event has another form.
    """
    event = _signed_event(headers, body)
    if event.kind == _CONNECT:
        if event.namespace != _NAMESPACE:
            raise ForbiddenError("There is only the default namespace.")
        _owner_of(event.user or _user_in_claims(event.body))
        return ""
    if event.kind != _MESSAGE or event.name not in _JOIN | _LEAVE:
        return None
    acknowledgement, wanted = _parse(event)
    try:
        answer = await (_join(event, wanted) if event.name in _JOIN else _leave(event, wanted))
    except TurnlogError as error:
        answer = JoinAnswer(error=refusal_of(error))
    return f"43{acknowledgement}{as_json([answer]).decode()}" if acknowledgement else None


async def _join(event: _Event, wanted: Any) -> JoinAnswer:
    owner = await _caller(event)
    services().limits.count_request(owner)
    room = await room_of(owner, wanted)
    await services().socketio.join(event.socket_id, room.shared_name)
    return {"room": room.name}


async def _leave(event: _Event, wanted: Any) -> JoinAnswer:
    room = named_room(await _caller(event), wanted)
    await services().socketio.leave(event.socket_id, room.shared_name)
    return {"room": room.name}


async def _caller(event: _Event) -> str:
    """The owner of the socket. The service may leave the user out of an event; then it is asked."""
    return _owner_of(event.user or await services().socketio.user_of(event.socket_id))


def _signed_event(headers: Mapping[str, str], body: bytes) -> _Event:
    keys = settings().socketio_access_keys
    if settings().socketio_endpoint is None or not keys:
        raise NotSupportedError("Socket.IO is not set up here: set SOCKETIO_ENDPOINT.")
    connection = headers.get("ce-connectionid", "")
    sent = [each.strip().lower().encode() for each in headers.get("ce-signature", "").split(",")]
    valid = [_signature(key.get_secret_value(), connection) for key in keys]
    if not connection or not any(hmac.compare_digest(one, other) for one in sent for other in valid):
        raise UnauthenticatedError("The event is not signed with an access key of the service.")
    if headers.get("ce-hub", "").lower() != settings().socketio_hub.lower():
        raise ForbiddenError("The event comes from another hub.")
    if len(body) > _MAX_BYTES and headers.get("ce-type") == _MESSAGE:
        raise InvalidRequestError("A message names one room: it is short.")
    return _Event(
        kind=headers.get("ce-type", ""),
        name=headers.get("ce-eventname", ""),
        namespace=headers.get("ce-namespace", ""),
        socket_id=headers.get("ce-socketid", ""),
        user=headers.get("ce-userid"),
        body=body,
    )


def _signature(key: str, connection: str) -> bytes:
    return b"sha256=" + hmac.new(key.encode(), connection.encode(), hashlib.sha256).hexdigest().encode()


def _parse(event: _Event) -> tuple[str, Any]:
    """The id that an acknowledgement needs, empty for none, and the first argument of the event."""
    packet = _PACKET.fullmatch(event.body.decode("utf-8", "replace"))
    if packet is None or event.namespace != _NAMESPACE or not event.socket_id:
        raise InvalidRequestError("The message is no event of the default namespace.")
    try:
        name, *arguments = json.loads(packet["arguments"])
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError("The message is no event.") from error
    if name != event.name:
        raise InvalidRequestError("The header names another event than the message.")
    return packet["ack"], arguments[0] if arguments else None


def _owner_of(user: str | None) -> str:
    try:
        owner = base64.urlsafe_b64decode(user or "").decode()
    except (binascii.Error, ValueError) as error:
        raise UnauthenticatedError("The token of the socket is not from this app.") from error
    if not owner:
        raise UnauthenticatedError("The socket has no user.")
    return owner


def _user_in_claims(body: bytes) -> str | None:
    """The user in the body of a connect event: claims are lists of text."""
    try:
        claims: Any = json.loads(body)["claims"]["sub"]
        return cast("list[str]", claims)[0] if isinstance(claims, list) else str(claims)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
