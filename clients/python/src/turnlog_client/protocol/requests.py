"""Requests as values: what each call of a client sends, and how its answer is read."""

import hashlib
import json
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar, cast
from urllib.parse import quote, urlencode

from turnlog_client.options import CreateSession, ListSessions
from turnlog_client.values import AgentList, Message, SessionInfo, SessionPage

Answer = TypeVar("Answer")
Method = Literal["GET", "POST", "PATCH", "DELETE"]


def _as_sent(answer: Any) -> Any:
    return answer


@dataclass(frozen=True)
class Request(Generic[Answer]):
    """One request. `wait` is how many seconds the service may take before it answers."""

    method: Method
    path: str
    query: Mapping[str, object] = field(default_factory=dict[str, object])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: object = None
    wait: float = 0
    read: Callable[[Any], Answer] = _as_sent

    @property
    def target(self) -> str:
        """The path with the query."""
        sent = {name: _query_text(value) for name, value in self.query.items() if value not in (None, [], ())}
        return self.path + ("?" + urlencode(sent) if sent else "")

    @property
    def content(self) -> bytes | None:
        """The body as JSON."""
        return None if self.body is None else json.dumps(self.body).encode()


def new_idempotency_key() -> str:
    """Return a key that no other request has."""
    return secrets.token_hex(16)


def create_session(options: CreateSession, idempotency_key: str | None) -> Request[SessionInfo]:
    return post("/sessions", dict(options), idempotency_key)


def list_sessions(options: ListSessions) -> Request[SessionPage]:
    query = {name: value for name, value in options.items() if name != "metadata"}
    keys = {f"metadata.{key}": text for key, text in options.get("metadata", {}).items()}
    return Request("GET", "/sessions", query | keys)


def get_message(message_id: str) -> Request[Message]:
    return Request("GET", f"/messages/{segment(message_id)}")


def list_agents() -> Request[AgentList]:
    return Request("GET", "/agents")


def room_path(project_id: str | None) -> str:
    return "/stream" if project_id is None else f"/projects/{segment(project_id)}/stream"


def post(path: str, body: object, key: str | None = None) -> Request[Any]:
    """Return a POST. Its idempotency key makes it safe to repeat: a repeat attaches to what the first one made."""
    return Request("POST", path, headers=key_header(key), body=body)


def key_header(key: str | None) -> dict[str, str]:
    """Return the header with the key; by default a new one."""
    return {"idempotency-key": key or new_idempotency_key()}


def waiting(request: Request[Answer], seconds: float | None) -> Request[Answer]:
    """Return the request with the wait that the service is asked for; None or 0: it answers at once."""
    prefer = f"wait={math.ceil(seconds)}" if seconds else "respond-async"
    return replace(request, headers={**request.headers, "prefer": prefer}, wait=seconds or 0)


def repeatable_post(path: str, body: object) -> Request[Any]:
    """Return a POST that is the same request whenever it has the same path and body: a repeat gets the first answer."""
    return post(path, body, hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32])


def segment(text: str) -> str:
    return quote(text, safe="")


def _query_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(str(each) for each in cast("list[object]", value))
    return str(value)
