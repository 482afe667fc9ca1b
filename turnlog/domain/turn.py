"""Which execution may act on a turn: pure decisions over the state."""

from dataclasses import dataclass
from enum import Enum, auto

from turnlog.domain.ids import InstanceId, TurnId, WriterId
from turnlog.domain.session import ActiveTurn, Attempt, SessionState
from turnlog.domain.turn_fold import call_crashes, tool_crashes

MAX_CRASHES = 6
"""After so many attempts that began and ended without a trace, one after the other, no other attempt begins."""


class Permission(Enum):
    """What an execution of an attempt may do now, according to the log."""

    BEGIN = auto()
    """Nobody has begun this attempt: append its start, and act only if that succeeds."""
    ACT = auto()
    """This execution began the attempt, and no later attempt has begun."""
    FOLLOW = auto()
    """Another execution of this same attempt began it: wait for what it records."""
    DONE = auto()
    """The answer is recorded."""
    CANCELLED = auto()
    """The turn is asked to stop."""
    POISONED = auto()
    """The last attempts began and ended without a trace, so the next one would probably do the same."""
    SUPERSEDED = auto()
    """The turn has ended, or belongs to another instance, or a later attempt has begun."""


@dataclass(frozen=True)
class Fence:
    """The turn and the instance that an execution acts for."""

    turn_id: TurnId
    instance_id: InstanceId

    def turn_in(self, state: SessionState) -> ActiveTurn | None:
        """The turn, if it is still the active one and this instance still runs it."""
        turn = state.active_turn
        if turn is None or turn.turn_id != self.turn_id or turn.instance_id != self.instance_id:
            return None
        return turn


def permission_for_step(state: SessionState, fence: Fence, step: int, attempt: int, writer: WriterId) -> Permission:
    """What an execution of `attempt` of a model call may do."""
    turn = fence.turn_in(state)
    if turn is None:
        return Permission.SUPERSEDED
    if step <= turn.steps_done:
        return Permission.DONE
    begun = turn.call if turn.step == step else None
    permission = _permission(turn, begun, attempt, writer)
    is_poisoned = permission is Permission.BEGIN and call_crashes(begun, state.head) >= MAX_CRASHES
    return Permission.POISONED if is_poisoned else permission


def permission_for_tool(state: SessionState, fence: Fence, call_id: str, attempt: int, writer: WriterId) -> Permission:
    """What an execution of `attempt` of a tool call of the newest step may do."""
    turn = fence.turn_in(state)
    if turn is None:
        return Permission.SUPERSEDED
    begun = turn.tools.get(call_id)
    permission = _permission(turn, begun, attempt, writer)
    is_poisoned = permission is Permission.BEGIN and tool_crashes(begun) >= MAX_CRASHES
    return Permission.POISONED if is_poisoned else permission


def _permission(turn: ActiveTurn, begun: Attempt | None, attempt: int, writer: WriterId) -> Permission:
    if begun is not None and begun.done:
        return Permission.DONE
    if begun is not None and begun.number > attempt:
        return Permission.SUPERSEDED
    if turn.cancelling:
        return Permission.CANCELLED
    if begun is None or begun.number < attempt:
        return Permission.BEGIN
    return Permission.ACT if begun.writer == writer else Permission.FOLLOW
