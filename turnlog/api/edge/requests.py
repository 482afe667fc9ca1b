"""Requests to values: paths, bodies, and the headers that steer a request."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeVar, cast

from azurefunctions.extensions.http.fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from turnlog.api.edge.parameters import (
    AGENT_NAME,
    ARCHIVED,
    IDEMPOTENCY_KEY,
    MAX_KEY_LENGTH,
    MAX_METADATA_FILTERS,
    MAX_WAIT_SECONDS,
    METADATA,
    STATUS,
)
from turnlog.api.edge.principal import caller_of
from turnlog.api.edge.problems import IncompleteBodyError, MalformedJsonError, UnsupportedMediaTypeError
from turnlog.api.shapes.events import OutsideEvent, OutsideEvents
from turnlog.domain.content import MAX_CONTENT_BYTES
from turnlog.domain.errors import FieldProblem, InvalidRequestError, TooLargeError
from turnlog.domain.ids import MessageId, ProjectId, PublicId, SessionId, bound_id, owner_hash
from turnlog.domain.listing import SessionFilter
from turnlog.services.log.idempotency import IdempotencyKey
from turnlog.settings import settings

BODY_BYTES = 1024 * 1024
MESSAGE_BODY_BYTES = MAX_CONTENT_BYTES + 256 * 1024
"""A message's content as JSON, and the rest of its body: metadata, white space, escapes."""

MAX_LEVELS = 64

M = TypeVar("M", bound=BaseModel)


def session_id_of(req: Request) -> SessionId:
    """The session that the path names: always one of the caller's own."""
    return bound_id(caller_of(req).owner, public_id_of(req))


def public_id_of(req: Request) -> PublicId:
    """The session that the path names, as its owner calls it."""
    return PublicId(req.path_params["session_id"])


def project_id_of(req: Request) -> ProjectId:
    return ProjectId(req.path_params["project_id"])


def message_id_of(req: Request) -> MessageId:
    return MessageId(req.path_params["message_id"])


def session_filter(query: Mapping[str, str], owner: str, project_id: str | None) -> SessionFilter:
    """The filter that the query parameters of a session list describe.

    Raises:
        InvalidRequestError: a parameter is wrong, or there are too many of them.
    """
    prefix = METADATA.name.removesuffix("<key>")
    metadata = {name.removeprefix(prefix): value for name, value in query.items() if name.startswith(prefix)}
    if len(metadata) > MAX_METADATA_FILTERS:
        raise METADATA.error(f"sent for at most {MAX_METADATA_FILTERS} keys")
    return SessionFilter(
        owner=owner_hash(owner),
        project_id=project_id,
        status=STATUS.read(query),
        agent_name=AGENT_NAME.read(query),
        archived=ARCHIVED.read(query),
        metadata=metadata,
    )


async def read_bytes(req: Request, max_bytes: int = BODY_BYTES) -> bytes:
    """The body. One of more than `max_bytes` is refused while it is read.

    Raises:
        TooLargeError, UnsupportedMediaTypeError, IncompleteBodyError
    """
    body = bytearray()
    try:
        async for part in req.stream():
            body += part
            if len(body) > max_bytes:
                raise TooLargeError(f"The body is larger than {max_bytes // 1024} KB.")
    except ClientDisconnect:
        raise IncompleteBodyError("The body did not arrive in time.") from None
    # A page of any site can send a body without a content type, and the browser does not ask first.
    usual = "without a type" if settings().auth_mode == "none" else "application/json"
    media_type = req.headers.get("content-type", usual).partition(";")[0].strip().lower()
    if body and media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaTypeError(f"The body is {media_type}: send content-type: application/json.")
    return bytes(body)


async def read_body(req: Request, model: type[M]) -> M:
    """The body as a `model`. An absent body counts as `{}`."""
    return parse(model, await read_bytes(req))


def parse(model: type[M], body: bytes) -> M:
    """Return `body` as a `model`.

    Raises:
        MalformedJsonError: it is not JSON. InvalidRequestError: it does not fit; the error names every wrong field.
    """
    value = _load_json(body)
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise _invalid(error, value) from error


def parse_events(body: bytes, session_id: str) -> list[OutsideEvent]:
    """Return the body's events: it is one event or a list of them.

    Raises:
        MalformedJsonError, InvalidRequestError: the error names the wrong event.
    """
    value = _load_json(body)
    is_list = isinstance(value, list)
    events = body if is_list else b"[%b]" % (body or b"{}")
    try:
        sent = OutsideEvents.model_validate_json(b'{"events":%b}' % events).events
    except ValidationError as error:
        raise _invalid(error, value, skipped=1 if is_list else 2) from error
    for index, event in enumerate(sent):
        if event.fields.get("session_id", session_id) != session_id:
            pointer = f"/{index}/session_id" if is_list else "/session_id"
            problem = FieldProblem(pointer, "differs from the session in the path")
            raise InvalidRequestError("An event's session_id differs from the session in the path.", (problem,))
    return sent


def _load_json(body: bytes) -> Any:
    """The value of `body`, which can be stored, loaded and sent again."""
    try:
        value = from_json(body or b"{}", allow_inf_nan=False)
    except ValueError as error:
        raise MalformedJsonError(f"The body is not JSON: {error}.") from error
    _refuse_extremes(value, MAX_LEVELS)
    return value


def _refuse_extremes(value: Any, levels: int) -> None:
    match value:
        case float() if not isfinite(value):
            raise InvalidRequestError("The body contains a number that is out of range.")
        # Parsers have a limit of depth, and a value is stored deeper than it was sent.
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


def _invalid(error: ValidationError, body: Any, skipped: int = 0) -> InvalidRequestError:
    """The problems with `body`. The first `skipped` parts of a location are not in the body."""
    problems = tuple(
        FieldProblem(
            _pointer(item["loc"][skipped:], body, is_missing=item["type"] == "missing"),
            item["msg"].removeprefix("Value error, "),
        )
        for item in error.errors(include_url=False)
    )
    summary = "; ".join(f"{item.pointer or 'body'}: {item.detail}" for item in problems[:3])
    return InvalidRequestError(f"The body is not valid: {summary}", problems)


def _pointer(location: tuple[int | str, ...], body: Any, *, is_missing: bool) -> str:
    """The JSON pointer (RFC 6901). A part that is not in the body names a branch of a union, and is left out."""
    parts: list[int | str] = []
    value = body
    for part in location:
        is_inside = isinstance(value, list) if isinstance(part, int) else isinstance(value, dict) and part in value
        if is_inside:
            value = cast("Any", value)[part]
        if is_inside or (is_missing and part is location[-1]):
            parts.append(part)
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


@dataclass(frozen=True)
class Preferences:
    """The form of the answer that the client prefers (RFC 7240, and `Accept`)."""

    wait: int | None
    respond_async: bool
    stream: bool

    def wait_seconds(self, default: int) -> int:
        """The seconds to wait for the end of a turn."""
        if self.wait is not None:
            return self.wait
        return 0 if self.respond_async else default

    @property
    def applied(self) -> dict[str, str]:
        """The header that names the preferences that were followed."""
        applied = ["respond-async"] if self.respond_async else []
        applied += [] if self.wait is None else [f"wait={self.wait}"]
        return {"preference-applied": ", ".join(applied)} if applied else {}


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
        InvalidRequestError: the key is blank or too long.
    """
    key = IDEMPOTENCY_KEY.read(req.headers)
    if key is None:
        return None
    if not key.strip() or len(key) > MAX_KEY_LENGTH:
        raise InvalidRequestError(f"Idempotency-Key must have 1 to {MAX_KEY_LENGTH} characters and not be blank.")
    scope = "\n".join((caller_of(req).owner, req.method, req.url.path.rstrip("/"), key))
    return IdempotencyKey(hashlib.sha256(scope.encode()).hexdigest(), hashlib.sha256(body or b"{}").hexdigest())
