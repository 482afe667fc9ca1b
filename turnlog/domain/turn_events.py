"""The events of a turn: what is appended when it begins, is handed over, is cancelled, and ends."""

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from turnlog.domain.chunks import Draft
from turnlog.domain.events import (
    EventData,
    MessageComplete,
    MessageQueued,
    MessageWithdrawn,
    RunHandover,
    RunStart,
    Status,
    ToolCallComplete,
    UserMessage,
)
from turnlog.domain.ids import MessageId, instance_of, turn_of
from turnlog.domain.session import ActiveTurn
from turnlog.domain.sizes import size_as_sent, size_of_body
from turnlog.domain.stored_documents import Message, Step, StepDocument, ToolResult, step_id
from turnlog.domain.tolerance import FROM_STORE
from turnlog.domain.values import (
    MAX_INLINE_RESPONSE_BYTES,
    MAX_INLINE_TEXT_BYTES,
    MAX_STATE_TEXT_BYTES,
    OnBusy,
    ToolCall,
    ToolOutcome,
)

_MAX_REQUEUED_BYTES = 8 * MAX_INLINE_TEXT_BYTES

CANCELLED_CALL = ToolOutcome(status="cancelled", response={"error": "The call was cancelled before it was answered."})
"""The outcome of a call that was not run to its end."""


def turn_drafts(turn: ActiveTurn | Message, *data: EventData, trace_id: str | None = None) -> list[Draft]:
    """`data` as events of a turn, or of the turn that a message is in.

    `trace_id` is the trace of the request that causes them; without it, the trace of the turn.
    """
    trace_id = trace_id or turn.trace_id
    return [Draft(data=each, turn_id=turn.turn_id, message_id=turn.message_id, trace_id=trace_id) for each in data]


def _waiting_draft(message_id: MessageId, data: MessageQueued | MessageWithdrawn, trace_id: str | None) -> Draft:
    """An event of a message that waits: it belongs to the message's own turn, which has not begun."""
    return Draft(data=data, turn_id=turn_of(message_id), message_id=message_id, trace_id=trace_id)


def start_drafts(message: Message) -> list[Draft]:
    """The events with which `message` starts its turn."""
    start = RunStart(agent=message.agent, model=message.model)
    return [user_message_draft(message), *turn_drafts(message, start)]


def user_message_draft(message: Message) -> Draft:
    """The event with which `message` enters the conversation."""
    (draft,) = turn_drafts(message, UserMessage(**_content_fields(message)))
    return draft


def queued_draft(message: Message, on_busy: OnBusy) -> Draft:
    """The event after which `message` waits for its own turn."""
    queued = MessageQueued(**_content_fields(message), on_busy=on_busy)
    return _waiting_draft(message.message_id, queued, message.trace_id)


def requeued_drafts(messages: Sequence[Message]) -> list[Draft]:
    """The events after which messages that their turn did not read wait for their own turns.

    The log has their contents already, so together they take no more than a few contents.
    """
    max_bytes = _MAX_REQUEUED_BYTES // max(1, len(messages))
    return [queued_draft(_with_reference(message, max_bytes), "steer") for message in messages]


def _with_reference(message: Message, max_bytes: int) -> Message:
    """`message` for an event that holds at most so many bytes of its content; readers fill in the rest."""
    size = size_as_sent(message.content)
    return (
        message.model_copy(update={"content": "", "parts_bytes": message.parts_bytes or size})
        if size > max_bytes
        else message
    )


def _content_fields(message: Message) -> dict[str, Any]:
    """The content of `message` as its events hold it, and the sender's id of it."""
    return {
        "content": message.content,
        "parts_bytes": message.parts_bytes or None,
        "client_id": message.client_id,
    }


def withdrawn_draft(message_id: MessageId, trace_id: str) -> Draft:
    """The event that withdraws a waiting message."""
    return _waiting_draft(message_id, MessageWithdrawn(), trace_id)


def cancel_drafts(turn: ActiveTurn, unread: Sequence[Message], reason: str | None, trace_id: str) -> list[Draft]:
    """The events that ask `turn` to stop; none if it was asked before.

    No model call follows, so each message of the turn that was not read waits for its own turn from here on. A parked
    turn has no instance that could end it, so it is handed over to one.
    """
    if turn.cancelling:
        return []
    events: list[EventData] = [Status(status="cancelling", reason=reason)]
    if turn.parked:
        events.append(handover_event(turn))
    return [*turn_drafts(turn, *events, trace_id=trace_id), *requeued_drafts(unread)]


def handover_event(turn: ActiveTurn) -> RunHandover:
    """The event that gives `turn` to its next instance."""
    return RunHandover(instance_id=instance_of(turn.turn_id, turn.generation + 1))


def stall_drafts(turn: ActiveTurn) -> list[Draft]:
    """The events that hand over a turn without a live instance; `stalled` only if the turn is not stalled yet."""
    stalled = [] if turn.stalled else [Status(status="stalled")]
    return turn_drafts(turn, *stalled, handover_event(turn))


def step_completion(message_id: MessageId, step: int, attempt: int, written: Step, *, partial: bool) -> MessageComplete:
    """The event that holds a step's text. A large text stays in the step's document."""
    text, overflow = inline_or_reference(written.text, step_id(message_id, step))
    return MessageComplete(
        step=step,
        attempt=attempt,
        text=text,
        reasoning=written.reasoning or None,
        partial=partial,
        finish_reason=written.finish_reason,
        truncated=written.truncated,
        overflow=overflow,
    )


def tool_completion(result: ToolResult) -> ToolCallComplete:
    """The event that answers a tool call. A large response stays in its document."""
    return without_large_response(ToolCallComplete(**_completion_fields(result)))


def stored_completion(result: ToolResult) -> ToolCallComplete:
    """The event that answered a call whose `result` was read: also a result of a next release."""
    return without_large_response(ToolCallComplete.model_validate(_completion_fields(result), context=FROM_STORE))


def _completion_fields(result: ToolResult) -> dict[str, Any]:
    outcome = result.outcome
    return {
        "id": result.id,
        "step": result.step,
        "name": result.name,
        "arguments": result.arguments,
        "arguments_in": result.arguments_in,
        "status": outcome.status,
        "response": outcome.response,
        "duration_ms": result.duration_ms,
        "truncated": outcome.truncated,
    }


def without_large_response(complete: ToolCallComplete) -> ToolCallComplete:
    """`complete` as a log has it: a large response is a reference to its document."""
    is_large = size_of_body(to_json(complete.response).decode()) > MAX_INLINE_RESPONSE_BYTES
    return complete.model_copy(update={"response": None, "overflow": complete.id}) if is_large else complete


def tool_result(call: ToolCall, step: StepDocument, outcome: ToolOutcome) -> ToolResult:
    """The answer to a call of a step. Large arguments stay in the step's document."""
    fields = arguments_fields(call, step.message_id, step.number, MAX_INLINE_TEXT_BYTES)
    return _tool_result(call, step, step.number, outcome, fields)


def closed_calls(calls: Sequence[ToolCall], message: Message, step: int) -> tuple[ToolResult, ...]:
    """The answers to `calls`, which are refused or were not run to their ends.

    They are all in one batch. So only short arguments are in them, and the others in the step's document.
    """
    return tuple(
        _tool_result(
            call,
            message,
            step,
            CANCELLED_CALL if call.refused is None else ToolOutcome(status="failed", response={"error": call.refused}),
            arguments_fields(call, message.message_id, step, MAX_STATE_TEXT_BYTES),
        )
        for call in calls
    )


def _tool_result(
    call: ToolCall, message: Message | StepDocument, step: int, outcome: ToolOutcome, arguments: dict[str, Any]
) -> ToolResult:
    return ToolResult(
        id=call.id,
        sequence=message.sequence,
        message_id=message.message_id,
        step=step,
        name=call.name,
        outcome=outcome,
        **arguments,
    )


def arguments_fields(call: ToolCall, message_id: MessageId, step: int, max_bytes: int) -> dict[str, Any]:
    """The arguments of a call of a message's `step` as an event or a document holds them."""
    arguments, arguments_in = inline_or_reference(call.arguments, step_id(message_id, step), max_bytes)
    return {"arguments": arguments, "arguments_in": arguments_in}


def inline_or_reference(text: str, document_id: str, max_bytes: int = MAX_INLINE_TEXT_BYTES) -> tuple[str, str | None]:
    """`text` as an event holds it: the whole text, or no text and the id of the document that holds it."""
    return (text, None) if size_as_sent(text) <= max_bytes else ("", document_id)
