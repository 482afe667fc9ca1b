"""Activity: whether attempts in flight are alive, by the log and the store's clock."""

from datetime import timedelta
from typing import Any, Literal

from orchestrations.contracts import LookInput, LookReply, Work
from shared.domain.session import ActiveTurn, Attempt, SessionState
from shared.wiring import Services, services


async def look(looks: Any) -> dict[str, Any]:
    """Judge each attempt: reads only, so run twice it says the same or something newer."""
    on, wanted = services(), LookInput.model_validate(looks)
    state = await on.log.outline(wanted.work[0].session_id)
    return LookReply(verdicts=[await _verdict(on, state, work) for work in wanted.work]).dump()


async def _verdict(on: Services, state: SessionState | None, work: Work) -> Literal["alive", "dead", "unbegun"]:
    turn = None if state is None else work.fence.turn_in(state)
    if turn is None:
        return "dead"  # the next attempt finds itself superseded at once
    begun = _begun(turn, work)
    if begun is None or begun.number < work.attempt:
        return "unbegun"
    silence = await on.log.silence(work.session_id, begun.writer)
    patience: timedelta = on.settings.timings.dead_after
    return "alive" if silence is not None and silence < patience else "dead"


def _begun(turn: ActiveTurn, work: Work) -> Attempt | None:
    if work.call_id is not None:
        return turn.tools.get(work.call_id)
    return turn.call if turn.step == work.step else None
