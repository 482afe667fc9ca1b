"""What follows a request that failed: another try after a wait, or its error."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from turnlog_client.errors import NetworkError, NotFoundError, ProblemError, TurnlogError
from turnlog_client.protocol.backoff import Backoff
from turnlog_client.protocol.requests import Request


@dataclass
class Tries:
    """The tries of one request, at most `max_tries`."""

    request: Request[Any]
    max_tries: int
    backoff: Backoff = field(default_factory=Backoff)

    def has_succeeded(self, error: TurnlogError) -> bool:
        """Whether an earlier try did the work whose answer was lost: a repeated DELETE that finds nothing."""
        return self.request.method == "DELETE" and self.backoff.failures > 0 and isinstance(error, NotFoundError)

    def wait_after(self, error: TurnlogError) -> float:
        """Return the seconds to wait before the next try.

        Raises:
            TurnlogError: `error`, if another try can't help, or there were enough.
        """
        if not error.is_transient or self.backoff.failures + 1 >= self.max_tries:
            raise error
        return self.backoff.next(retry_after_of(error))


def retry_after_of(error: TurnlogError) -> float:
    """Return the seconds that the service asks to wait; 0 if it asks for none."""
    return (error.retry_after or 0) if isinstance(error, ProblemError) else 0


def headers_of(request: Request[Any], token: str | None) -> dict[str, str]:
    """Return the headers of a request, with `token` as its bearer token."""
    headers = {"accept": "application/json", **request.headers}
    if token:
        headers["authorization"] = f"Bearer {token}"
    if request.body is not None:
        headers["content-type"] = "application/json"
    return headers


def answer_of(status: int, content_type: str, body: bytes) -> Any:
    """Return the JSON of an answer; None if it has none.

    Raises:
        NetworkError: something else answered, for example a proxy.
    """
    if status == 204:
        return None
    try:
        return json.loads(body)
    except ValueError as error:
        raise NetworkError(f"the server sent {content_type or 'nothing'} in place of JSON") from error


def checked_base(url: str) -> str:
    """Return the URL of a service, without a slash at its end.

    Raises:
        ValueError: it is not the URL of a server.
    """
    try:
        parts = urlsplit(url)
        is_server = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_server = False
    if not is_server:
        raise ValueError(f"base_url is not the URL of a server, for example https://turnlog.example: {url!r}")
    return url.rstrip("/")
