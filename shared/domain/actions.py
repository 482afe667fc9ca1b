"""What tool calls wait for from outside: asking for it, deciding on it, and going on once all is decided."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.domain.chunks import Draft
from shared.domain.documents import Message, ToolResult
from shared.domain.events import EventData, ToolCallAction, ToolCallActionRequired
from shared.domain.session import ActiveTurn
from shared.domain.turn import handover_event, tool_completion
from shared.domain.values import ANSWER_BYTES, ActionDecision, ActionKind, ToolCall, ToolOutcome, cut


@dataclass(frozen=True)
class Resolution:
    """What was decided on a call. `outcome` is the call's answer; None where the tool is yet to run."""

    decision: ActionDecision
    by: str
    reason: str | None = None
    outcome: ToolOutcome | None = None


@dataclass(frozen=True)
class Resolved:
    """What rulings append. `takes_up`: nothing is open any more, and the turn goes on under another instance."""

    drafts: Sequence[Draft] = ()
    results: Sequence[ToolResult] = field(default_factory=list[ToolResult])
    takes_up: bool = False


def denial(by: str, reason: str | None) -> Resolution:
    """A call that is not to be run; the model is told so, and why."""
    told = f"The call was denied: {reason}" if reason else "The call was denied."
    return Resolution("deny", by, reason, ToolOutcome(status="denied", response={"error": told}))


def completed(value: Any) -> ToolOutcome:
    """What a tool gave, as JSON; cut where it is too large."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str, allow_nan=False)
    kept, truncated = cut(text, ANSWER_BYTES)
    plain = isinstance(value, str) or truncated
    return ToolOutcome(status="completed", response=kept if plain else json.loads(text), truncated=truncated)


def failed(text: str) -> ToolOutcome:
    return ToolOutcome(status="failed", response={"error": text})


def action_events(
    turn: ActiveTurn, waiting: Sequence[tuple[ToolCall, ActionKind]], expires_at: datetime
) -> list[Draft]:
    """The events with which `turn` parks until somebody has decided on all of `waiting`."""
    return [
        _draft(
            turn,
            ToolCallActionRequired(
                id=call.id, kind=kind, name=call.name, arguments=call.arguments, expires_at=expires_at
            ),
        )
        for call, kind in waiting
    ]


def resolve(turn: ActiveTurn, message: Message, rulings: Mapping[str, Resolution], trace_id: str | None) -> Resolved:
    """What `rulings` on open calls append; with the last open one, the turn's handover to its next instance."""
    events: list[EventData] = []
    results: list[ToolResult] = []
    for call_id, ruling in rulings.items():
        events.append(ToolCallAction(id=call_id, decision=ruling.decision, by=ruling.by, reason=ruling.reason))
        if ruling.outcome is not None:
            action = turn.actions[call_id]
            result = ToolResult(
                id=call_id,
                sequence=message.sequence,
                message_id=message.message_id,
                step=turn.step,
                name=action.name,
                arguments=action.arguments,
                outcome=ruling.outcome,
            )
            results.append(result)
            events.append(tool_completion(result))
    takes_up = turn.parked and turn.open_actions.keys() <= rulings.keys()
    if takes_up:
        events.append(handover_event(turn))
    return Resolved([_draft(turn, data, trace_id) for data in events], results, takes_up)


def _draft(turn: ActiveTurn, data: EventData, trace_id: str | None = None) -> Draft:
    return Draft(data=data, turn_id=turn.turn_id, message_id=turn.message_id, trace_id=trace_id or turn.trace_id)
