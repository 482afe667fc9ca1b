"""The orchestrator: one turn, one terminal event."""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import azure.durable_functions as df

from turnlog.domain.values import Failure, TurnOutcome
from turnlog.orchestrations.attempts import run_attempts
from turnlog.orchestrations.contracts import CALL_MODEL, FINISH_TURN, PARK_TURN, RUN_TOOL, Next, Reply, ToolReply, Work
from turnlog.scheduler import TurnStart

_ENDS: dict[Next, TurnOutcome] = {
    Next.COMPLETE_TURN: "completed",
    Next.CANCEL_TURN: "cancelled",
    Next.FAIL_TURN: "failed",
}


class _Stop(NamedTuple):
    """The step after which the steps stopped, the reply that stopped them, and what to do next."""

    step: int
    next: Next
    reply: Reply[Any]


def run_turn(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    """Call the model and run the tools that it requests, until it requests none. Then end the turn.

    A model call that leaves nothing to do has ended the turn itself. If a message was put into the turn and no model
    call has read it, the turn continues. An instance that is superseded ends without another event, and so does one
    whose turn is parked: another instance resumes the turn.
    """
    turn = TurnStart.model_validate(context.get_input())
    step = 0
    while True:
        step, then, reply = yield from _steps(context, turn, step + 1)
        if then is Next.END_INSTANCE:
            return reply.dump()
        may_continue = then is Next.COMPLETE_TURN and step < turn.max_steps
        continues_after = step if may_continue else None
        ends = Work.of(turn, ends=_ENDS[then], failure=reply.failure, continues_after=continues_after)
        (end,) = yield from run_attempts(context, turn, FINISH_TURN, [ends])
        match FINISH_TURN.next[end.outcome]:
            case Next.NEXT_STEP:
                continue
            case Next.FAIL_INSTANCE:
                raise RuntimeError(f"finish_turn failed: {end.failure}")
            case _:
                return end.dump()


def _steps(context: df.DurableOrchestrationContext, turn: TurnStart, first: int) -> Generator[Any, Any, _Stop]:
    """Steps from `first` on, until the model stops or the turn has to."""
    for step in range(first, turn.max_steps + 1):
        if context.current_utc_datetime >= turn.deadline:
            return _failed(step, "turn_timeout", "The turn exceeded its time limit.")
        call = Work.of(turn, step=step, attempt=turn.first_attempt, last_step=step == turn.max_steps)
        (reply,) = yield from run_attempts(context, turn, CALL_MODEL, [call])
        if (then := CALL_MODEL.next[reply.outcome]) is not Next.RUN_TOOLS:
            return _Stop(step, then, reply)
        calls = [Work.of(turn, step=step, attempt=turn.first_attempt, call_id=call_id) for call_id in reply.call_ids]
        replies = yield from run_attempts(context, turn, RUN_TOOL, calls)
        then, decisive = _decisive(replies)
        if then is Next.PARK_TURN:
            (parked,) = yield from run_attempts(context, turn, PARK_TURN, [Work.of(turn)])
            return _Stop(step, PARK_TURN.next[parked.outcome], parked)
        if then is not Next.NEXT_STEP:
            return _Stop(step, then, decisive)
    return _failed(turn.max_steps, "step_limit", f"The model still asked for tools after {turn.max_steps} steps.")


def _decisive(replies: Sequence[ToolReply]) -> tuple[Next, ToolReply]:
    """The reply that decides what is next after several tool calls; of equal ones, the first."""
    decisive = min(replies, key=lambda reply: RUN_TOOL.next[reply.outcome])
    return RUN_TOOL.next[decisive.outcome], decisive


def _failed(step: int, code: str, message: str) -> _Stop:
    failure = Failure(code=code, message=message)
    return _Stop(step, Next.FAIL_TURN, Reply[Any](outcome="failed", failure=failure))
