"""How events change the active turn: its steps, attempts and actions."""

from datetime import datetime
from typing import Any

from turnlog.domain.chunks import Event
from turnlog.domain.events import (
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
from turnlog.domain.ids import InstanceId, WriterId, instance_of
from turnlog.domain.session import Action, ActiveTurn, Attempt
from turnlog.domain.sizes import size_as_sent
from turnlog.domain.stored_documents import step_id
from turnlog.domain.values import MAX_STATE_TEXT_BYTES, Usage, add_costs


def started_turn(start: RunStart, event: Event, writer: WriterId) -> ActiveTurn:
    """The active turn after its `run.start`, which `writer` appended."""
    if event.turn_id is None or event.message_id is None:
        raise ValueError("run.start without its turn")
    return ActiveTurn(
        turn_id=event.turn_id,
        message_id=event.message_id,
        instance_id=instance_of(event.turn_id, 1),
        writer=writer,
        changed_at=event.timestamp,
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
    last_change = {"writer": writer, "changed_at": event.timestamp}
    match event.data:
        case MessageStart() | MessageComplete() | TokenUsage() as data:
            changes = _step_changes(turn, data, event.sequence, writer)
        case ToolCallStart() | ToolCallComplete() | ToolCallActionRequired() | ToolCallAction() as data:
            changes = _tool_changes(turn, data, writer)
        case RunHandover(instance_id=instance_id):
            return _handover_changes(turn, InstanceId(instance_id), event.timestamp) | last_change
        case Status(status="cancelling"):
            return {"cancelling": True, **last_change}
        case Status(status="stalled"):
            return {"stalled": True, **last_change}
        case _:
            return {}
    return {**changes, **last_change, "stalled": False}


def silence_changes(turn: ActiveTurn | None, event: Event) -> dict[str, Any]:
    """The changes of the active turn by `event`, which is not a delta, if its model call has written nothing."""
    call = None if turn is None else turn.call
    if call is None or call.done or call.silent_to != event.sequence - 1:
        return {}
    return {"call": call.model_copy(update={"silent_to": event.sequence})}


def _handover_changes(turn: ActiveTurn, instance_id: InstanceId, at: datetime) -> dict[str, Any]:
    generation = turn.generation + 1
    changes: dict[str, Any] = {"instance_id": instance_id, "generation": generation}
    # The time during which a turn was parked does not count: its limits begin again.
    resumed = {"parked": False, "running_since": at, "running_generation": generation}
    return changes | (resumed if turn.parked else {})


def _step_changes(
    turn: ActiveTurn, data: MessageStart | MessageComplete | TokenUsage, sequence: int, writer: WriterId
) -> dict[str, Any]:
    match data:
        case MessageStart(step=step, attempt=number):
            is_retry = step == turn.step
            read = turn.reading if is_retry else ()
            cleared: dict[str, Any] = {} if is_retry else {"tools": {}, "actions": {}}
            crashes = call_crashes(turn.call, sequence - 1) if is_retry else 0
            call = Attempt(number=number, writer=writer, crashes=crashes, silent_to=sequence)
            return {"step": step, "call": call, **cleared, "reading": (*read, *turn.unread), "unread": ()}
        case MessageComplete():
            return {} if turn.call is None else {"call": turn.call.model_copy(update={"done": True})}
        case TokenUsage():
            used = {"usage": turn.usage + usage_of(data), "cost": add_costs(turn.cost, data.cost)}
            return {**used, "model_calls": turn.model_calls + 1}


def _tool_changes(
    turn: ActiveTurn,
    data: ToolCallStart | ToolCallComplete | ToolCallActionRequired | ToolCallAction,
    writer: WriterId,
) -> dict[str, Any]:
    match data:
        case ToolCallStart(id=call_id, attempt=number):
            crashes = tool_crashes(turn.tools.get(call_id))
            return {"tools": {**turn.tools, call_id: Attempt(number=number, writer=writer, crashes=crashes)}}
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


def call_crashes(call: Attempt | None, head: int) -> int:
    """The attempts at a model call, up to the newest, that began and ended without a trace. `head`: the last event."""
    return 0 if call is None or call.done or call.silent_to != head else call.crashes + 1


def tool_crashes(attempt: Attempt | None) -> int:
    """The attempts at a tool call, up to the newest one, that began and ended without a trace."""
    return 0 if attempt is None or attempt.done else attempt.crashes + 1


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
