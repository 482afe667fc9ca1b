"""What tool calls wait for from outside: requesting it, deciding on it, and resuming once everything is decided."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from turnlog.domain.chunks import Draft
from turnlog.domain.events import EventData, ToolCallAction, ToolCallActionRequired
from turnlog.domain.session import Action, ActiveTurn
from turnlog.domain.sizes import size_of_body, truncate
from turnlog.domain.stored_documents import Message, ToolResult
from turnlog.domain.turn_events import arguments_fields, handover_event, tool_completion, turn_drafts
from turnlog.domain.values import (
    MAX_ANSWER_BYTES,
    MAX_INLINE_TEXT_BYTES,
    MAX_MESSAGE_BYTES,
    ActionDecision,
    ActionKind,
    ToolCall,
    ToolOutcome,
)


@dataclass(frozen=True)
class Resolution:
    """The decision on a call. `outcome` is the call's answer; it is None if the tool is still to run."""

    decision: ActionDecision
    by: str
    reason: str | None = None
    outcome: ToolOutcome | None = None


@dataclass(frozen=True)
class Resolved:
    """What resolutions append. `resumes`: no call is open any more, and the next instance continues the turn."""

    drafts: Sequence[Draft] = ()
    results: Sequence[ToolResult] = field(default_factory=list[ToolResult])
    resumes: bool = False


def denial(by: str, reason: str | None) -> Resolution:
    """The call is not to be run. Its answer to the model says so, and why."""
    text = f"The call was denied: {reason}" if reason else "The call was denied."
    return Resolution("deny", by, reason, ToolOutcome(status="denied", response={"error": text}))


def completed_outcome(value: Any) -> ToolOutcome:
    """The outcome of a tool that returned `value`, as JSON; if that is too large, its beginning as text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str, allow_nan=False)
    if not isinstance(value, str) and size_of_body(text) <= MAX_ANSWER_BYTES:
        return ToolOutcome(status="completed", response=json.loads(text))
    start, truncated = truncate(text, MAX_ANSWER_BYTES)
    return ToolOutcome(status="completed", response=start, truncated=truncated)


def failed_outcome(text: str) -> ToolOutcome:
    """The outcome of a tool that failed; the model reads `text`."""
    return ToolOutcome(status="failed", response={"error": truncate(text, MAX_MESSAGE_BYTES)[0]})


def with_arguments(actions: Mapping[str, Action], arguments: Mapping[str, str]) -> dict[str, Action]:
    """`actions` with the whole arguments of their calls, where `arguments` has them."""
    return {
        call_id: action.model_copy(update={"arguments": arguments.get(call_id, action.arguments), "arguments_in": None})
        for call_id, action in actions.items()
    }


def action_drafts(
    turn: ActiveTurn, waiting: Sequence[tuple[ToolCall, ActionKind]], expires_at: datetime
) -> list[Draft]:
    """The events with which `turn` parks until all of `waiting` are decided."""
    events = [
        ToolCallActionRequired(
            id=call.id,
            kind=kind,
            name=call.name,
            **arguments_fields(call, turn.message_id, turn.step, MAX_INLINE_TEXT_BYTES),
            expires_at=expires_at,
        )
        for call, kind in waiting
    ]
    return turn_drafts(turn, *events)


def resolve(
    turn: ActiveTurn, message: Message, resolutions: Mapping[str, Resolution], trace_id: str | None
) -> Resolved:
    """What `resolutions` of open calls append; after the last open call, the turn's handover to its next instance."""
    events: list[EventData] = []
    results: list[ToolResult] = []
    for call_id, resolution in resolutions.items():
        decision, by, reason = resolution.decision, resolution.by, resolution.reason
        events.append(ToolCallAction(id=call_id, decision=decision, by=by, reason=reason))
        if resolution.outcome is not None:
            result = _result(turn, message, call_id, resolution.outcome)
            results.append(result)
            events.append(tool_completion(result))
    resumes = turn.parked and turn.open_actions.keys() <= resolutions.keys()
    if resumes:
        events.append(handover_event(turn))
    return Resolved(turn_drafts(turn, *events, trace_id=trace_id), results, resumes)


def _result(turn: ActiveTurn, message: Message, call_id: str, outcome: ToolOutcome) -> ToolResult:
    action = turn.actions[call_id]
    return ToolResult(
        id=call_id,
        sequence=message.sequence,
        message_id=message.message_id,
        step=turn.step,
        name=action.name,
        arguments=action.arguments,
        arguments_in=action.arguments_in,
        outcome=outcome,
    )
