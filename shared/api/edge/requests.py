"""Bytes to values: bodies, and the headers that steer a request."""

import hashlib
import re
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeVar, cast

from azurefunctions.extensions.http.fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from shared.api.edge.parameters import IDEMPOTENCY_KEY, MAX_KEY_LENGTH, MAX_WAIT_SECONDS
from shared.api.edge.principal import caller
from shared.api.edge.problems import MalformedJsonError, UnsupportedMediaTypeError
from shared.api.shapes.bodies import OutsideEvent, OutsideEvents
from shared.domain.errors import FieldProblem, InvalidRequestError, TooLargeError
from shared.services.idempotency import IdempotencyKey
from shared.settings import settings

BODY_BYTES = 1024 * 1024
MAX_LEVELS = 64

M = TypeVar("M", bound=BaseModel)


async def read_bytes(req: Request, limit: int = BODY_BYTES) -> bytes:
    """The body, refused while it is being read once it is too large.

    Raises:
        TooLargeError, UnsupportedMediaTypeError
    """
    body = bytearray()
    async for part in req.stream():
        body += part
        if len(body) > limit:
            raise TooLargeError(f"The body is larger than {limit // 1024} KB.")
    media_type = req.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if body and media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaTypeError(f"The body is {media_type}: send content-type: application/json.")
    return bytes(body)


async def read_body(req: Request, model: type[M]) -> M:
    """The body as a `model`; an absent one is `{}`."""
    return parsed(model, await read_bytes(req))


def parsed(model: type[M], body: bytes) -> M:
    """`body` as a `model`.

    Raises:
        MalformedJsonError: it is no JSON. InvalidRequestError: it doesn't fit, and every field's problem is named.
    """
    value = _json(body)
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise _refused(error, value) from error


def parsed_events(body: bytes, session_id: str) -> list[OutsideEvent]:
    """The body as one event or a list of them.

    Raises:
        MalformedJsonError, InvalidRequestError: and which event it is.
    """
    value = _json(body)
    listed = isinstance(value, list)
    try:
        sent = OutsideEvents.model_validate_json(
            b'{"events":%b}' % (body if listed else b"[%b]" % (body or b"{}"))
        ).events
    except ValidationError as error:
        raise _refused(error, value, skipped=1 if listed else 2) from error
    for place, event in enumerate(sent):
        if event.fields.get("session_id", session_id) != session_id:
            pointer = f"/{place}/session_id" if listed else "/session_id"
            problem = FieldProblem(pointer, "names another session than the path")
            raise InvalidRequestError("An event's session_id differs from the path's.", (problem,))
    return sent


def _json(body: bytes) -> Any:
    """What `body` says, once it is known that it can be stored, read again and sent on."""
    try:
        value = from_json(body or b"{}", allow_inf_nan=False)
    except ValueError as error:
        raise MalformedJsonError(f"The body is not JSON: {error}.") from error
    _refuse_extremes(value, MAX_LEVELS)
    return value


def _refuse_extremes(value: Any, levels: int) -> None:
    match value:
        case float() if not isfinite(value):
            raise InvalidRequestError("The body holds a number that is out of range.")
        # Parsers stop at some depth, and what is stored stands deeper than it was sent.
        case dict() | list() if not levels:
            raise InvalidRequestError(f"The body is nested deeper than {MAX_LEVELS} levels.")
        case dict():
            for item in cast("dict[str, Any]", value).values():
                _refuse_extremes(item, levels - 1)
        case list():
            for item in cast("list[Any]", value):
                _refuse_extremes(item, levels - 1)
        case _:
            pass


def _refused(error: ValidationError, body: Any, skipped: int = 0) -> InvalidRequestError:
    """The problems with `body`; the first `skipped` parts of their locations lead to it."""
    problems = tuple(
        FieldProblem(_pointer(item["loc"][skipped:], body, is_missing=item["type"] == "missing"), _said(item["msg"]))
        for item in error.errors(include_url=False)
    )
    summary = "; ".join(f"{item.pointer or 'body'}: {item.detail}" for item in problems[:3])
    return InvalidRequestError(f"The body does not fit: {summary}", problems)


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")


def _pointer(location: tuple[int | str, ...], body: Any, *, is_missing: bool) -> str:
    """RFC 6901. A part that is no place in the body is the name of a union's branch, and left out."""
    parts: list[int | str] = []
    here = body
    for part in location:
        is_place = isinstance(here, list) if isinstance(part, int) else isinstance(here, dict) and part in here
        if is_place:
            here = cast("Any", here)[part]
        if is_place or (is_missing and part is location[-1]):
            parts.append(part)
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


@dataclass(frozen=True)
class Preferences:
    """What the client asks of the answer's form (RFC 7240, and `Accept`)."""

    wait: int | None
    respond_async: bool
    stream: bool

    def waits(self, usual: int) -> int:
        """Seconds to wait for the end."""
        if self.wait is not None:
            return self.wait
        return 0 if self.respond_async else usual

    @property
    def applied(self) -> dict[str, str]:
        """The header that says which preferences were followed."""
        given = ["respond-async"] if self.respond_async else []
        given += [] if self.wait is None else [f"wait={self.wait}"]
        return {"preference-applied": ", ".join(given)} if given else {}


def preferences(req: Request) -> Preferences:
    prefer = ",".join(req.headers.getlist("prefer")).lower()
    wait = re.search(r"(?:^|[,;\s])wait(?:\s*=\s*\"?(\d{1,9})|(?=\s*(?:$|[,;])))", prefer)
    seconds = None if wait is None else int(wait[1] or settings().message_wait_seconds)
    return Preferences(
        wait=None if seconds is None else min(seconds, MAX_WAIT_SECONDS),
        respond_async="respond-async" in prefer,
        stream="text/event-stream" in req.headers.get("accept", "").lower(),
    )


def idempotency_key(req: Request, body: bytes) -> IdempotencyKey | None:
    """The request's key, bound to caller, method and path; None if it has none.

    Raises:
        InvalidRequestError: it is empty or too long.
    """
    key = IDEMPOTENCY_KEY.of(req.headers)
    if key is None:
        return None
    if not key.strip() or len(key) > MAX_KEY_LENGTH:
        raise InvalidRequestError(f"Idempotency-Key takes 1 to {MAX_KEY_LENGTH} characters.")
    scope = "\n".join((caller(req).owner, req.method, req.url.path.rstrip("/"), key))
    return IdempotencyKey(hashlib.sha256(scope.encode()).hexdigest(), hashlib.sha256(body or b"{}").hexdigest())
