"""What runs turns: the scheduler of their instances, and the clock."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import InstanceId, SessionId, TurnId


@dataclass(frozen=True)
class TurnStart:
    """The input of a turn's instance: ids and limits, never a transcript.

    `agent` is whose step limit holds. `first_attempt` is above every attempt that an earlier instance may have begun.
    `trace_id` is the trace of the request that posted the turn.
    """

    session_id: SessionId
    turn_id: TurnId
    instance_id: InstanceId
    agent: str
    deadline: datetime
    first_attempt: int = 1
    trace_id: str | None = None


class TurnScheduler(Protocol):
    """Durable Functions, as far as a turn needs it: the only place that knows its client."""

    async def start(self, turn: TurnStart) -> None:
        """Start the instance that runs a turn; nothing happens if it runs already.

        A start that fails is logged and left to the sweep: the claim in the log is what was acknowledged.
        """
        ...

    async def exists(self, instance_id: InstanceId) -> bool: ...


class Clock(Protocol):
    def now(self) -> datetime:
        """The current time, in UTC."""
        ...
