"""How events change the active turn: its steps, attempts and actions."""

from datetime import datetime
from typing import Any

from shared.domain.chunks import Event
from shared.domain.events import (
    MessageComplete,
    MessageStart,
    RunHandover,
    RunStart,
    Status,
    TokenUsage,
    ToolCallAction,
    ToolCallActionRequired,
    ToolCallComplete,
    ToolCallStart,
)
from shared.domain.ids import InstanceId, WriterId, instance_of
from shared.domain.session import Action, ActiveTurn, Attempt
from shared.domain.sizes import size_as_sent
from shared.domain.stored_documents import step_id
from shared.domain.values import MAX_STATE_TEXT_BYTES, Usage


def started_turn(start: RunStart, event: Event) -> ActiveTurn:
    """The active turn after its `run.start`."""
    if event.turn_id is None or event.message_id is None:
        raise ValueError("run.start without its turn")
    return ActiveTurn(
        turn_id=event.turn_id,
        message_id=event.message_id,
        instance_id=instance_of(event.turn_id, 1),
        trace_id=event.trace_id,
        agent=start.agent,
        model=start.model,
        started_at=event.timestamp,
        running_since=event.timestamp,
    )


def turn_changes(turn: ActiveTurn | None, event: Event, writer: WriterId) -> dict[str, Any]:
    """The fields of the active turn that `event`, which `writer` appended, changes."""
    if turn is None or event.turn_id != turn.turn_id:
        return {}
    match event.data:
        case MessageStart() | MessageComplete() | TokenUsage() as data:
            changes = _step_changes(turn, data, writer)
        case ToolCallStart() | ToolCallComplete() | ToolCallActionRequired() | ToolCallAction() as data:
            changes = _tool_changes(turn, data, writer)
        case RunHandover(instance_id=instance_id):
            return _handover_changes(turn, InstanceId(instance_id), event.timestamp)
        case Status(status="cancelling"):
            return {"cancelling": True}
        case Status(status="stalled"):
            return {"stalled": True}
        case _:
            return {}
    return {**changes, "stalled": False}


def _handover_changes(turn: ActiveTurn, instance_id: InstanceId, at: datetime) -> dict[str, Any]:
    generation = turn.generation + 1
    changes: dict[str, Any] = {"instance_id": instance_id, "generation": generation}
    # The time during which a turn was parked does not count: its limits begin again.
    resumed = {"parked": False, "running_since": at, "running_generation": generation}
    return changes | (resumed if turn.parked else {})


def _step_changes(
    turn: ActiveTurn, data: MessageStart | MessageComplete | TokenUsage, writer: WriterId
) -> dict[str, Any]:
    match data:
        case MessageStart(step=step, attempt=number):
            is_retry = step == turn.step
            read = turn.reading if is_retry else ()
            cleared: dict[str, Any] = {} if is_retry else {"tools": {}, "actions": {}}
            call = Attempt(number=number, writer=writer)
            return {"step": step, "call": call, **cleared, "reading": (*read, *turn.unread), "unread": ()}
        case MessageComplete():
            return {} if turn.call is None else {"call": turn.call.model_copy(update={"done": True})}
        case TokenUsage():
            return {"usage": turn.usage + usage_of(data), "model_calls": turn.model_calls + 1}


def _tool_changes(
    turn: ActiveTurn,
    data: ToolCallStart | ToolCallComplete | ToolCallActionRequired | ToolCallAction,
    writer: WriterId,
) -> dict[str, Any]:
    match data:
        case ToolCallStart(id=call_id, attempt=number):
            return {"tools": {**turn.tools, call_id: Attempt(number=number, writer=writer)}}
        case ToolCallComplete(id=call_id):
            attempt = turn.tools.get(call_id, Attempt(number=1, writer=writer))
            return {"tools": {**turn.tools, call_id: attempt.model_copy(update={"done": True})}}
        case ToolCallActionRequired(id=call_id):
            return {"parked": True, "actions": {**turn.actions, call_id: _action(turn, data)}}
        case ToolCallAction(id=call_id, decision=decision):
            if call_id not in turn.actions:
                return {}
            decided = turn.actions[call_id].model_copy(update={"decision": decision})
            return {"actions": {**turn.actions, call_id: decided}}


def _action(turn: ActiveTurn, required: ToolCallActionRequired) -> Action:
    """The action as the state holds it: with short arguments only."""
    action = Action(**required.model_dump(exclude={"type", "id"}))
    if size_as_sent(action.arguments) <= MAX_STATE_TEXT_BYTES:
        return action
    return action.model_copy(update={"arguments": "", "arguments_in": step_id(turn.message_id, turn.step)})


def usage_of(used: TokenUsage) -> Usage:
    return Usage(
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        total_tokens=used.total_tokens,
        cached_tokens=used.cached_tokens,
        reasoning_tokens=used.reasoning_tokens,
    )
