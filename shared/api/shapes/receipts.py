"""What clients see that is no resource: pages, receipts, problems. Typed dictionaries, so that they cost nothing."""

from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from pydantic import AwareDatetime, JsonValue, WithJsonSchema
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from shared.api.shapes.views import MessageView, SessionView
from shared.domain.faults import FaultDomain
from shared.domain.ids import MessageId, SessionId, TurnId
from shared.domain.values import MessageStatus, ToolStatus, Usage

EventBody: TypeAlias = Annotated[dict[str, Any], WithJsonSchema({"x-component": "Event"})]
"""An event as `envelope` makes it; described by the schema of that name."""


class SessionPage(TypedDict):
    sessions: list[SessionView]
    next_cursor: str | None
    trace_id: str


class SessionStatus(TypedDict):
    session_id: SessionId
    status: Literal["running", "finished", "not_existent"]
    trace_id: str


class SessionResult(TypedDict):
    """`result` is the text of the last assistant message."""

    session_id: SessionId
    result: str
    trace_id: str


class Negotiation(TypedDict):
    """What a SignalR client is redirected to; `url` and `accessToken` are its own names."""

    url: str
    accessToken: str
    trace_id: str


class EventPage(TypedDict):
    """`next_cursor` is null when the page reaches the end."""

    events: list[EventBody]
    next_cursor: int | None
    head: int
    session_id: SessionId
    trace_id: str


class AppendReceipt(TypedDict):
    """The places of what was appended."""

    sequences: list[int]
    session_id: SessionId
    trace_id: str


class FlatReceipt(TypedDict):
    ok: Literal[True]
    sequences: list[int]
    session_id: SessionId
    trace_id: str


class FlatEventList(TypedDict):
    """Each event has its fields beside `event_type`, `session_id`, `session_name` and `timestamp`."""

    events: list[dict[str, Any]]
    session_id: SessionId
    trace_id: str


class CancelReceipt(TypedDict):
    """`idle`: nothing was running, or another turn than the one named. Once the turn has ended, the rest is there.

    `model_stopped_at` is when its last model call was over; null if it made none.
    """

    session_id: SessionId
    turn_id: TurnId | None
    status: Literal["idle", "cancelling"] | MessageStatus
    trace_id: str
    model_stopped_at: NotRequired[AwareDatetime | None]
    usage: NotRequired[Usage]
    message: NotRequired[MessageView]


class ToolCallResult(TypedDict):
    """A tool call and its whole response."""

    id: str
    session_id: SessionId
    message_id: MessageId
    trace_id: str
    step: int
    name: str
    arguments: str
    status: ToolStatus
    response: JsonValue
    truncated: bool
    duration_ms: int


class Health(TypedDict):
    status: Literal["ok"]
    trace_id: str


class Readiness(TypedDict):
    """`checks` says `ok`, or what is wrong, for each of `store`, `task_hub` and `model`."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, str]
    trace_id: str


class FieldError(TypedDict):
    """`pointer` is an RFC 6901 JSON pointer into the body, or `?name` for a query parameter."""

    pointer: str
    detail: str


class Problem(TypedDict):
    """RFC 9457. `code` is for programs and never renamed; `retryable`: the same request may succeed later.

    `fault_domain`, where the status is 500 or more: whose fault it is.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    trace_id: str
    fault_domain: NotRequired[FaultDomain]
    errors: NotRequired[list[FieldError]]
