"""The orchestrator: one turn, one terminal event."""

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df

from orchestrations.contracts import Reply, TurnInput, Work
from orchestrations.supervise import supervised
from shared.domain.values import Failure, TurnOutcome

_ENDS: dict[str, TurnOutcome] = {"done": "completed", "cancelled": "cancelled", "failed": "failed"}


def run_turn(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    """Call the model, run the tools it asks for, and again, until it stops; then end the turn.

    An instance that is superseded ends without a word: the turn has ended or is another instance's.
    """
    turn = TurnInput.model_validate(context.get_input())
    reply = yield from _steps(context, turn)
    if reply.outcome == "superseded":
        return reply.dump()
    ends = Work.of(turn, ends=_ENDS[reply.outcome], failure=reply.failure)
    (end,) = yield from supervised(context, turn, "finish_turn", [ends])
    if end.outcome == "failed":
        # The sweep hands the turn to another instance, or ends it at its deadline.
        raise RuntimeError(f"finish_turn failed: {end.failure}")
    return end.dump()


def _steps(context: df.DurableOrchestrationContext, turn: TurnInput) -> Generator[Any, Any, Reply]:
    for step in range(1, turn.max_steps + 1):
        if context.current_utc_datetime >= turn.deadline:
            return _failed("turn_timeout", "The turn took longer than it may.")
        call = Work.of(turn, step=step, attempt=turn.first_attempt, last_step=step == turn.max_steps)
        (reply,) = yield from supervised(context, turn, "call_model", [call])
        if reply.outcome != "tools":
            return reply
        calls = [Work.of(turn, step=step, attempt=turn.first_attempt, call_id=call_id) for call_id in reply.call_ids]
        replies = yield from supervised(context, turn, "run_tool", calls)
        for stop in ("superseded", "cancelled", "failed"):
            if stopped := next((reply for reply in replies if reply.outcome == stop), None):
                return stopped
    return _failed("step_limit", f"The model still asked for tools after {turn.max_steps} steps.")


def _failed(code: str, message: str) -> Reply:
    return Reply(outcome="failed", failure=Failure(code=code, message=message))
