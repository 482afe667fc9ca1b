"""Requests as values: what each call of a client sends, and how its answer is read."""

import hashlib
import json
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar, cast
from urllib.parse import quote, urlencode

from turnlog_client.events import event_of
from turnlog_client.values import (
    AgentList,
    CancelOptions,
    CancelReceipt,
    Content,
    CreateSession,
    DecisionReceipt,
    EventPage,
    ListEvents,
    ListMessages,
    ListSessions,
    Message,
    Project,
    SendOptions,
    SessionInfo,
    SessionPage,
    UpdateSession,
)

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
        sent = {name: _query_text(value) for name, value in self.query.items() if value not in (None, "", [], ())}
        return self.path + ("?" + urlencode(sent) if sent else "")

    @property
    def content(self) -> bytes | None:
        """The body as JSON."""
        return None if self.body is None else json.dumps(self.body).encode()


def new_idempotency_key() -> str:
    """Return a key that no other request has."""
    return secrets.token_hex(16)


def create_session(options: CreateSession, idempotency_key: str | None) -> Request[SessionInfo]:
    return _post("/sessions", dict(options), idempotency_key)


def list_sessions(options: ListSessions) -> Request[SessionPage]:
    return Request("GET", "/sessions", dict(options))


def list_agents() -> Request[AgentList]:
    return Request("GET", "/agents")


def get_project(project_id: str) -> Request[Project]:
    return Request("GET", f"/projects/{_segment(project_id)}")


def room_path(project_id: str | None) -> str:
    return "/stream" if project_id is None else f"/projects/{_segment(project_id)}/stream"


@dataclass(frozen=True)
class SessionRequests:
    """The requests about one session."""

    session_id: str

    @property
    def path(self) -> str:
        return f"/sessions/{_segment(self.session_id)}"

    def info(self) -> Request[SessionInfo]:
        return Request("GET", self.path)

    def update(self, changes: UpdateSession) -> Request[SessionInfo]:
        return Request("PATCH", self.path, body=dict(changes))

    def delete(self) -> Request[None]:
        return Request("DELETE", self.path)

    def send(
        self, content: Content, options: SendOptions, wait: float | None, idempotency_key: str | None
    ) -> Request[Message]:
        request = _post(f"{self.path}/messages", {"content": content, **options}, idempotency_key)
        return _waiting(request, wait)

    def messages(self, options: ListMessages) -> Request[list[Message]]:
        return Request("GET", f"{self.path}/messages", dict(options))

    def history(self, options: ListEvents) -> Request[EventPage]:
        return Request("GET", f"{self.path}/events", dict(options), read=_event_page)

    def export(self) -> Request[None]:
        return Request("GET", f"{self.path}/export", headers={"accept": "application/x-ndjson"})

    def cancel(self, options: CancelOptions, wait: float | None) -> Request[CancelReceipt]:
        return _waiting(_post(f"{self.path}/cancel", dict(options)), wait)

    def queue(self) -> Request[list[Message]]:
        return Request("GET", f"{self.path}/queue")

    def withdraw(self, message_id: str) -> Request[None]:
        return Request("DELETE", f"{self.path}/queue/{_segment(message_id)}")

    def decide(
        self, call_id: str, decision: Literal["approve", "deny"], reason: str | None
    ) -> Request[DecisionReceipt]:
        body = {"decision": decision} | ({"reason": reason} if reason else {})
        return _repeatable_post(f"{self.path}/tool_calls/{_segment(call_id)}/approval", body)

    def submit(self, call_id: str, outcome: Mapping[str, object]) -> Request[DecisionReceipt]:
        return _repeatable_post(f"{self.path}/tool_calls/{_segment(call_id)}/result", dict(outcome))


def _post(path: str, body: object, key: str | None = None) -> Request[Any]:
    """Return a POST. Its idempotency key makes it safe to repeat: a repeat attaches to what the first one made."""
    return Request("POST", path, headers={"idempotency-key": key or new_idempotency_key()}, body=body)


def _waiting(request: Request[Answer], seconds: float | None) -> Request[Answer]:
    """Return the request with the wait that the service is asked for; None or 0: it answers at once."""
    prefer = f"wait={math.ceil(seconds)}" if seconds else "respond-async"
    return replace(request, headers={**request.headers, "prefer": prefer}, wait=seconds or 0)


def _repeatable_post(path: str, body: object) -> Request[Any]:
    """Return a POST that is the same request whenever it has the same path and body: a repeat gets the first answer."""
    return _post(path, body, hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32])


def _event_page(answer: Mapping[str, Any]) -> EventPage:
    cursor = answer["next_cursor"]
    events = [event_of(each) for each in cast("list[Mapping[str, Any]]", answer["events"])]
    return EventPage(events, None if cursor is None else str(cursor), int(answer["head"]))


def _segment(text: str) -> str:
    return quote(text, safe="")


def _query_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(str(each) for each in cast("list[object]", value))
    return str(value)
