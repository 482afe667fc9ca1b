"""Errors as RFC 9457 problem responses."""

import logging
from collections.abc import Sequence
from http import HTTPStatus

from azurefunctions.extensions.http.fastapi import Response

from turnlog.api.shapes.common import FieldError, Problem, as_json
from turnlog.domain.errors import (
    AgentNotFoundError,
    ConflictError,
    CursorGoneError,
    ForbiddenError,
    IdentityUnavailableError,
    InvalidRequestError,
    ModelNotAllowedError,
    NotFoundError,
    NotSupportedError,
    PreconditionFailedError,
    ProducerFencedError,
    PushUnavailableError,
    QueueFullError,
    RateLimitedError,
    StoreUnavailableError,
    TooLargeError,
    TurnlogError,
    UnauthenticatedError,
)
from turnlog.domain.faults import code_of, fault_domain

_log = logging.getLogger(__name__)

_RETRY_AFTER_SECONDS = "2"
_STATUSES: tuple[tuple[type[TurnlogError], int], ...] = (
    (InvalidRequestError, 422),
    (AgentNotFoundError, 422),
    (ModelNotAllowedError, 422),
    (NotFoundError, 404),
    (ConflictError, 409),
    (CursorGoneError, 410),
    (TooLargeError, 413),
    (QueueFullError, 429),
    (RateLimitedError, 429),
    (UnauthenticatedError, 401),
    (ForbiddenError, 403),
    (ProducerFencedError, 403),
    (NotSupportedError, 501),
    (IdentityUnavailableError, 503),
    (StoreUnavailableError, 503),
    (PushUnavailableError, 503),
)


class MalformedJsonError(InvalidRequestError):
    """The body is not JSON."""

    code = "malformed_json"


class UnsupportedMediaTypeError(InvalidRequestError):
    """The content type of the body is not JSON."""

    code = "unsupported_media_type"


class IncompleteBodyError(InvalidRequestError):
    """The rest of the body did not arrive: the client is gone, or too slow."""

    code = "incomplete_body"


# For these classes alone, not for the ones below them.
_EXACT_STATUSES: dict[type[TurnlogError], int] = {
    MalformedJsonError: 400,
    UnsupportedMediaTypeError: 415,
    IncompleteBodyError: 408,
    PreconditionFailedError: 412,
}


def status_of(kind: type[TurnlogError]) -> int:
    """The HTTP status of an error of this kind."""
    return _EXACT_STATUSES.get(kind) or next((code for base, code in _STATUSES if issubclass(kind, base)), 500)


def problem(error: Exception, trace_id: str) -> Response:
    """The problem response for `error`. Of an unexpected error it shows nothing: the trace id leads to the log."""
    if not isinstance(error, TurnlogError):
        _log.error("trace %s: unexpected error, a fault of %s", trace_id, fault_domain(code_of(error)), exc_info=error)
        detail = "The service failed unexpectedly. Its logs have the details under the trace id."
        return _response(500, "internal_error", detail, trace_id)
    status = status_of(type(error))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("trace %s: %s, a fault of %s: %s", trace_id, error.code, fault_domain(error.code), error)
    problems = error.problems if isinstance(error, InvalidRequestError) else ()
    errors: list[FieldError] = [{"pointer": item.pointer, "detail": item.detail} for item in problems]
    response = _response(status, error.code, error.sentence or str(error), trace_id, errors, retryable=error.retryable)
    if isinstance(error, RateLimitedError):
        response.headers["retry-after"] = str(error.retry_after)
    return response


def _response(
    status: int, code: str, detail: str, trace_id: str, errors: Sequence[FieldError] = (), *, retryable: bool = False
) -> Response:
    body: Problem = {
        "type": f"/problems/{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "retryable": retryable,
        "trace_id": trace_id,
    }
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        body["fault_domain"] = fault_domain(code)
    if errors:
        body["errors"] = list(errors)
    headers = {"retry-after": _RETRY_AFTER_SECONDS} if retryable else {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return Response(as_json(body), status, headers, "application/problem+json")
