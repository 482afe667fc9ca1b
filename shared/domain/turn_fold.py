"""How events change the active turn: its steps, attempts and actions."""

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
from shared.domain.values import Usage


def started_turn(start: RunStart, event: Event) -> ActiveTurn:
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


def turn_changes(turn: ActiveTurn | None, event: Event, writer: WriterId) -> dict[str, Any]:  # noqa: C901
    if turn is None or event.turn_id != turn.turn_id:
        return {}
    match event.data:
        case RunHandover(instance_id=instance_id):
            taken = {"instance_id": InstanceId(instance_id), "generation": turn.generation + 1}
            resumed = {"parked": False, "running_since": event.timestamp, "running_generation": turn.generation + 1}
            return taken | (resumed if turn.parked else {})
        case MessageStart(step=step, attempt=number):
            read = turn.reading if step == turn.step else ()
            fresh: dict[str, Any] = {} if step == turn.step else {"tools": {}, "actions": {}}
            call = Attempt(number=number, writer=writer)
            return {"step": step, "call": call, **fresh, "reading": (*read, *turn.unread), "unread": ()}
        case MessageComplete() if turn.call is not None:
            return {"call": turn.call.model_copy(update={"done": True})}
        case TokenUsage() as used:
            return {"usage": turn.usage + usage_of(used), "model_calls": turn.model_calls + 1}
        case ToolCallStart(id=call, attempt=number):
            return {"tools": {**turn.tools, call: Attempt(number=number, writer=writer)}}
        case ToolCallComplete(id=call):
            attempt = turn.tools.get(call, Attempt(number=1, writer=writer))
            return {"tools": {**turn.tools, call: attempt.model_copy(update={"done": True})}}
        case ToolCallActionRequired(id=call) as asked:
            action = Action(**asked.model_dump(exclude={"type", "id"}))
            return {"parked": True, "actions": {**turn.actions, call: action}}
        case ToolCallAction(id=call, decision=decision) if call in turn.actions:
            decided = turn.actions[call].model_copy(update={"decision": decision})
            return {"actions": {**turn.actions, call: decided}}
        case Status(status="cancelling"):
            return {"cancelling": True}
        case Status(status="stalled"):
            return {"stalled": True}
        case _:
            return {}


def usage_of(used: TokenUsage) -> Usage:
    return Usage(
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        total_tokens=used.total_tokens,
    )
