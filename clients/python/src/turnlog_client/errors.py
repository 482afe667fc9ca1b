"""What can fail.

TurnlogError
├── NetworkError          the service can't be reached, or its answer broke off
└── ProblemError          the service refused a request
    ├── UnauthenticatedError   401: no token, or one that is not valid
    ├── ForbiddenError         403: the token does not allow this
    ├── NotFoundError          404: not found, or not yours
    ├── ConflictError          409, 412: the state of what it is about does not allow this now
    ├── GoneError              410: the cursor is of the log before a restore
    ├── InvalidError           400, 413, 415, 422: `errors` names what is wrong
    ├── BusyError              429: too much at once
    └── ServiceError           5xx: a fault of the service
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast


class TurnlogError(Exception):
    """Each error of this package."""

    is_transient = False
    """Whether the same request may succeed later."""


class NetworkError(TurnlogError):
    """The service can't be reached, or its answer broke off. `__cause__` is the error of httpx2, if there is one."""

    is_transient = True


@dataclass(frozen=True)
class FieldProblem:
    """A field of a request that is wrong; `pointer` is a JSON pointer into the body."""

    pointer: str
    detail: str


class ProblemError(TurnlogError):
    """The service refused a request, which has written nothing. Its text is the problem's `detail` (RFC 9457).

    `code` is for programs. `retryable`: the same request can succeed later, after `retry_after` seconds if the service
    asks for that.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.code = str(problem.get("code") or f"http_{status}")
        self.retryable = bool(problem.get("retryable", _is_retryable(status)))
        self.retry_after = retry_after
        self.trace_id: str | None = problem.get("trace_id")
        fields = cast("list[dict[str, str]]", problem.get("errors") or [])
        self.errors = [FieldProblem(each["pointer"], each["detail"]) for each in fields]
        self.is_transient = self.retryable
        super().__init__(str(problem.get("detail") or problem.get("title") or self.code))


class UnauthenticatedError(ProblemError):
    """401: no token, or one that is not valid."""


class ForbiddenError(ProblemError):
    """403: the token does not allow this."""


class NotFoundError(ProblemError):
    """404: not found, or not yours."""


class ConflictError(ProblemError):
    """409, 412: the state of the session or project does not allow this now; `code` says why."""


class GoneError(ProblemError):
    """410: the cursor is of the log before a restore. Read the log again from its beginning."""


class InvalidError(ProblemError):
    """400, 413, 415 or 422: the request is wrong; `errors` lists the fields."""


class BusyError(ProblemError):
    """429: too much at once, for example a full queue."""


class ServiceError(ProblemError):
    """5xx: a fault of the service, or of what it needs."""


_BY_STATUS: Mapping[int, type[ProblemError]] = {
    400: InvalidError,
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    412: ConflictError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
    429: BusyError,
}


def problem_of(status: int, reason: str, headers: Mapping[str, str], body: bytes) -> ProblemError:
    """Return the problem in an answer. A proxy may answer with something else: then the status decides."""
    fallback = {"detail": f"The server answered with {status} {reason}".strip()}
    kind = _BY_STATUS.get(status, ServiceError if status >= 500 else ProblemError)
    return kind(status, _document(body) or fallback, _retry_after(headers))


def _document(body: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return cast("Mapping[str, Any]", document) if isinstance(document, dict) and "code" in document else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    seconds = headers.get("retry-after", "")
    return float(seconds) if seconds.isdecimal() else None


def _is_retryable(status: int) -> bool:
    return status in {408, 429} or (status >= 500 and status != 501)
