"""Starting an instance that goes on with a turn: one that was parked, or whose instance fell silent."""

from datetime import timedelta

from shared.domain.session import SessionState
from shared.ports import TurnStart


def start_of(state: SessionState, timeout: timedelta) -> TurnStart | None:
    """How the active turn's present instance is started; run twice, the second start does nothing."""
    turn = state.active_turn
    if turn is None:
        return None
    return TurnStart(
        session_id=state.session_id,
        turn_id=turn.turn_id,
        instance_id=turn.instance_id,
        agent=turn.agent,
        deadline=turn.running_since + timeout,  # the time that a turn was parked is not its own
        first_attempt=turn.first_attempt,
        trace_id=turn.trace_id,
    )
