"""The requests about one session."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from turnlog_client.events import event_of
from turnlog_client.options import (
    CancelOptions,
    Content,
    ForkSession,
    ListEvents,
    ListMessages,
    OutsideEvent,
    Producer,
    SendOptions,
    UpdateSession,
)
from turnlog_client.protocol.requests import Request, key_header, post, repeatable_post, segment, waiting
from turnlog_client.values import (
    AppendReceipt,
    CancelReceipt,
    DecisionReceipt,
    EventPage,
    Message,
    SessionInfo,
    ToolCallResult,
    UsageReport,
)


@dataclass(frozen=True)
class SessionRequests:
    """The requests about one session."""

    session_id: str

    @property
    def path(self) -> str:
        return f"/sessions/{segment(self.session_id)}"

    def info(self) -> Request[SessionInfo]:
        return Request("GET", self.path)

    def update(self, changes: UpdateSession) -> Request[SessionInfo]:
        return Request("PATCH", self.path, body=dict(changes))

    def delete(self) -> Request[None]:
        return Request("DELETE", self.path)

    def fork(self, options: ForkSession, idempotency_key: str | None) -> Request[SessionInfo]:
        return post(f"{self.path}/fork", dict(options), idempotency_key)

    def usage(self) -> Request[UsageReport]:
        return Request("GET", f"{self.path}/usage")

    def send(
        self, content: Content, options: SendOptions, wait: float | None, idempotency_key: str | None
    ) -> Request[Message]:
        request = post(f"{self.path}/messages", {"content": content, **options}, idempotency_key)
        return waiting(request, wait)

    def messages(self, options: ListMessages) -> Request[list[Message]]:
        return Request("GET", f"{self.path}/messages", dict(options))

    def history(self, options: ListEvents) -> Request[EventPage]:
        return Request("GET", f"{self.path}/events", dict(options), read=_event_page)

    def append(
        self, events: Sequence[OutsideEvent], producer: Producer | None, idempotency_key: str | None
    ) -> Request[AppendReceipt]:
        numbers = {f"producer-{name}": str(value) for name, value in vars(producer).items()} if producer else {}
        key = {} if producer and idempotency_key is None else key_header(idempotency_key)
        return Request("POST", f"{self.path}/events", headers=numbers | key, body=[dict(event) for event in events])

    def export(self) -> Request[None]:
        return Request("GET", f"{self.path}/export", headers={"accept": "application/x-ndjson"})

    def cancel(self, options: CancelOptions, wait: float | None) -> Request[CancelReceipt]:
        return waiting(post(f"{self.path}/cancel", dict(options)), wait)

    def queue(self) -> Request[list[Message]]:
        return Request("GET", f"{self.path}/queue")

    def withdraw(self, message_id: str) -> Request[None]:
        return Request("DELETE", f"{self.path}/queue/{segment(message_id)}")

    def tool_call(self, call_id: str) -> Request[ToolCallResult]:
        return Request("GET", f"{self.path}/tool_calls/{segment(call_id)}")

    def decide(
        self, call_id: str, decision: Literal["approve", "deny"], reason: str | None
    ) -> Request[DecisionReceipt]:
        body = {"decision": decision} | ({"reason": reason} if reason else {})
        return repeatable_post(f"{self.path}/tool_calls/{segment(call_id)}/approval", body)

    def submit(self, call_id: str, outcome: Mapping[str, object]) -> Request[DecisionReceipt]:
        return repeatable_post(f"{self.path}/tool_calls/{segment(call_id)}/result", dict(outcome))


def _event_page(answer: Mapping[str, Any]) -> EventPage:
    cursor = answer["next_cursor"]
    events = [event_of(each) for each in cast("list[Mapping[str, Any]]", answer["events"])]
    return EventPage(events, None if cursor is None else str(cursor), int(answer["head"]))
