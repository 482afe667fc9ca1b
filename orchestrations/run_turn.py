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

    A model call that leaves nothing to do has ended the turn itself. A message put into the turn that no call has read
    lets it go on. An instance that is superseded ends without a word: the turn has ended or is another instance's. So
    does one whose turn is parked until somebody has acted.
    """
    turn = TurnInput.model_validate(context.get_input())
    step = 0
    while True:
        step, reply = yield from _steps(context, turn, step + 1)
        if reply.outcome in {"ended", "superseded", "parked"}:
            return reply.dump()
        goes_on_after = step if reply.outcome == "done" and step < turn.max_steps else None
        ends = Work.of(turn, ends=_ENDS[reply.outcome], failure=reply.failure, goes_on_after=goes_on_after)
        (end,) = yield from supervised(context, turn, "finish_turn", [ends])
        if end.outcome == "failed":
            # The sweep hands the turn to another instance, or ends it at its deadline.
            raise RuntimeError(f"finish_turn failed: {end.failure}")
        if end.outcome != "goes_on":
            return end.dump()


def _steps(
    context: df.DurableOrchestrationContext, turn: TurnInput, first: int
) -> Generator[Any, Any, tuple[int, Reply]]:
    """Steps from `first` on until the model stops, or the turn has to; the last step, and how it ended."""
    for step in range(first, turn.max_steps + 1):
        if context.current_utc_datetime >= turn.deadline:
            return step, _failed("turn_timeout", "The turn took longer than it may.")
        call = Work.of(turn, step=step, attempt=turn.first_attempt, last_step=step == turn.max_steps)
        (reply,) = yield from supervised(context, turn, "call_model", [call])
        if reply.outcome != "tools":
            return step, reply
        calls = [Work.of(turn, step=step, attempt=turn.first_attempt, call_id=call_id) for call_id in reply.call_ids]
        replies = yield from supervised(context, turn, "run_tool", calls)
        for stop in ("superseded", "cancelled", "failed"):
            if stopped := next((reply for reply in replies if reply.outcome == stop), None):
                return step, stopped
        if any(reply.outcome == "waits" for reply in replies):
            (parked,) = yield from supervised(context, turn, "park_turn", [Work.of(turn)])
            return step, parked
    return turn.max_steps, _failed("step_limit", f"The model still asked for tools after {turn.max_steps} steps.")


def _failed(code: str, message: str) -> Reply:
    return Reply(outcome="failed", failure=Failure(code=code, message=message))
