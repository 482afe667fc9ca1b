"""What clients see: sessions, messages and events in the API's form."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, JsonValue
from pydantic_core import to_json
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from shared.domain.chunks import (
    Event,
)
from shared.domain.documents import Message, ModelResponse
from shared.domain.events import (
    ForkedFrom,
    MessageDelta,
    Outside,
    SessionUpdated,
    ToolCallComplete,
    UserMessage,
)
from shared.domain.history import Entry
from shared.domain.ids import MessageId, SessionId, TurnId
from shared.domain.session import Action, SessionState, UiState
from shared.domain.values import ActionKind, Failure, MessageStatus, Usage

PRIVATE_FIELDS = {"type", "owner", "overflow", "metadata", "project_dir"}
"""What an event keeps for itself: clients see the type and the ids beside it, and the rest on the session."""


class RequiredAction(TypedDict):
    """A tool call for which a turn waits: for its approval, or for its result from the client."""

    call_id: str
    kind: ActionKind
    name: str
    arguments: str
    expires_at: AwareDatetime


def required_actions(open_actions: Mapping[str, Action]) -> list[RequiredAction]:
    return [
        {
            "call_id": call_id,
            "kind": action.kind,
            "name": action.name,
            "arguments": action.arguments,
            "expires_at": action.expires_at,
        }
        for call_id, action in open_actions.items()
    ]


class SessionView(BaseModel):
    """A session. `status` is for programs, `state` for user interfaces."""

    session_id: SessionId
    session_name: str | None
    project_id: str | None
    project_dir: str | None
    agent_name: str | None
    node_id: str | None
    openai_session_key: str
    thread_id: str
    status: Literal["running", "finished"]
    state: UiState
    required_action: list[RequiredAction]
    created_at: AwareDatetime
    updated_at: AwareDatetime
    last_resumed_at: AwareDatetime | None
    archived: bool
    metadata: dict[str, JsonValue]
    head: int
    active_turn: dict[str, JsonValue] | None
    queued: int
    diagnosis: str | None
    run_meta: dict[str, Any] | None
    error_detail: str | None
    usage: Usage
    forked_from: ForkedFrom | None = None
    steps: list[dict[str, Any]] | None = None
    event_log: list[dict[str, Any]] | None = None
    trace_id: str | None = None

    @classmethod
    def of(cls, state: SessionState, **more: Any) -> "SessionView":
        turn = state.active_turn
        fields: dict[str, Any] = {name: getattr(state, name) for name in cls.model_fields if hasattr(state, name)}
        own: dict[str, Any] = {
            "openai_session_key": state.session_id,
            "state": state.ui_state,
            "required_action": required_actions(turn.open_actions) if turn is not None and turn.parked else [],
            "active_turn": None
            if turn is None
            else {
                "turn_id": turn.turn_id,
                "message_id": turn.message_id,
                "started_at": timestamp(turn.started_at),
                "step": turn.step,
            },
            "queued": len(state.queue),
        }
        return cls(**{**fields, **own, **more})


class ToolCallView(BaseModel):
    """A tool call as a turn's message lists it."""

    id: str
    name: str
    arguments: str


class MessageView(BaseModel):
    """A message and its answer: the same shape wherever a message appears."""

    message_id: MessageId
    session_id: SessionId
    turn_id: TurnId
    trace_id: str | None
    sequence: int
    role: Literal["user"] = "user"
    content: str
    answer: str | None
    status: MessageStatus
    error: Failure | None
    agent: str
    model: str
    usage: Usage
    finish_reason: str | None
    tool_calls: list[ToolCallView]
    patch: JsonValue = None
    metadata: dict[str, JsonValue]
    created_at: AwareDatetime
    completed_at: AwareDatetime | None

    @classmethod
    def of(cls, message: Message) -> "MessageView":
        fields: dict[str, Any] = {name: getattr(message, name) for name in cls.model_fields if hasattr(message, name)}
        calls = [ToolCallView(**call.model_dump()) for step in message.steps for call in step.tool_calls]
        return cls(**fields, tool_calls=calls)


class FullResponseView(BaseModel):
    """What the model's server answered, whole: `response` is the last model call's, `responses` are all of the turn."""

    message_id: MessageId
    session_id: SessionId
    trace_id: str | None
    status: MessageStatus
    model: str
    usage: Usage
    tool_calls: list[dict[str, Any]]
    response: dict[str, Any] | None
    responses: list[dict[str, Any]]

    @classmethod
    def of(cls, message: Message, responses: Sequence[ModelResponse]) -> "FullResponseView":
        bodies = [response.body for response in responses]
        calls: list[dict[str, Any]] = []
        for body in bodies:
            calls += body["choices"][0]["message"].get("tool_calls") or []
        return cls(
            message_id=message.message_id,
            session_id=message.session_id,
            trace_id=message.trace_id,
            status=message.status,
            model=message.model,
            usage=message.usage,
            tool_calls=calls,
            response=bodies[-1] if bodies else None,
            responses=bodies,
        )


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC, with `Z`."""
    return at.isoformat().replace("+00:00", "Z")


def event_data(session_id: SessionId, event: Event) -> dict[str, Any]:
    """The `data` of an event: its fields, and the ids it belongs to."""
    ids: dict[str, Any] = {"session_id": session_id}
    if event.turn_id is not None:
        ids |= {"turn_id": event.turn_id, "message_id": event.message_id}
    match event.data:
        case MessageDelta(step=step, attempt=attempt, text=text):  # nine events of ten: kept off the general path
            return {"step": step, "attempt": attempt, "text": text, **ids}
        case Outside(fields=fields):
            # Said here too: a frame has nothing else by which readers could tell it from the turn's own.
            return {**fields, **ids, "origin": "outside"}
        case SessionUpdated(changes=changes):
            return {**changes, **ids}
        case UserMessage(content=content):
            return {"content": content, "text": content, **ids}
        case ToolCallComplete(overflow=str(), id=call_id) as complete:
            link = {"href": f"/sessions/{session_id}/tool_calls/{call_id}"}
            return {**complete.model_dump(mode="json", exclude=PRIVATE_FIELDS), "response": link, **ids}
        case data:
            return {**data.model_dump(mode="json", exclude=PRIVATE_FIELDS), **ids}


def envelope(session_id: SessionId, event: Event) -> dict[str, Any]:
    """The whole event. An outside one also has the fields it was sent with at the top, where ours win."""
    own = {
        "sequence": event.sequence,
        "type": event.type,
        "session_id": session_id,
        "turn_id": event.turn_id,
        "message_id": event.message_id,
        "trace_id": event.trace_id,
        "timestamp": timestamp(event.timestamp),
        "data": event_data(session_id, event),
    }
    if not isinstance(event.data, Outside):
        return own
    sent = event.data.fields
    outside = {
        "event_type": event.type,
        "origin": "outside",
        "recorded_at": own["timestamp"],
        "timestamp": sent.get("timestamp", own["timestamp"]),
    }
    return {**sent, **own, **outside}


def entry_view(session_id: SessionId, entry: Entry) -> dict[str, Any]:
    """An event as pages list it; a joined delta says which is the first that it stands for."""
    view = envelope(session_id, entry.event)
    return view if entry.first is None else {**view, "first_sequence": entry.first}


def flat_event(state: SessionState, event: Event) -> dict[str, Any]:
    """The event in its older form: its fields beside its type and its session."""
    data = event_data(state.session_id, event)
    own = {"event_type": event.type, "session_id": state.session_id}
    sent = data if isinstance(event.data, Outside) else {}
    named = {"session_name": state.session_name, "timestamp": timestamp(event.timestamp)}
    return {**data, **own, **{name: sent.get(name, value) for name, value in named.items()}}


def as_json(value: Any) -> bytes:
    """Compact JSON in UTF-8; timestamps with `Z`."""
    return to_json(value)
