"""Payloads that live in orchestration histories: ids and limits, never texts.

Histories outlive deployments: add optional fields, never rename or remove one.
"""

from datetime import datetime
from typing import Any, Literal, Self, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.domain.ids import InstanceId, SessionId, TurnId
from shared.domain.turn import Fence
from shared.domain.values import Failure, TurnOutcome

ActivityName: TypeAlias = Literal["call_model", "run_tool", "park_turn", "finish_turn"]


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True)

    def dump(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)


class TurnInput(_Payload):
    """What `run_turn` is started with; everything it branches on is here or in a reply."""

    session_id: SessionId
    turn_id: TurnId
    instance_id: InstanceId
    deadline: AwareDatetime
    max_steps: int
    look_after_seconds: float
    first_attempt: int = 1
    trace_id: str | None = None


class Work(_Payload):
    """One attempt of one activity of a turn. `call_id` names the tool call; `ends` is what finish_turn is to record.

    `goes_on_after`: the step after which finish_turn may let the turn go on instead; absent where no step may follow.
    `trace_id`: the trace of the request that posted the turn. `after`: what the attempt before this one failed with.
    """

    session_id: SessionId
    turn_id: TurnId
    instance_id: InstanceId
    deadline: AwareDatetime
    step: int = 0
    attempt: int = 1
    last_step: bool = False
    call_id: str | None = None
    ends: TurnOutcome | None = None
    goes_on_after: int | None = None
    failure: Failure | None = None
    trace_id: str | None = None
    after: str | None = None

    @property
    def fence(self) -> Fence:
        return Fence(self.turn_id, self.instance_id)

    def time_left(self, now: datetime) -> float:
        """Seconds until the turn's deadline; never negative."""
        return max(0.0, (self.deadline - now).total_seconds())

    @classmethod
    def of(cls, turn: TurnInput, **details: Any) -> Self:
        return cls(
            session_id=turn.session_id,
            turn_id=turn.turn_id,
            instance_id=turn.instance_id,
            deadline=turn.deadline,
            trace_id=turn.trace_id,
            **details,
        )


class Reply(_Payload):
    """What an activity gives back.

    `done`: recorded. `ended`: recorded, with the turn's end. `tools`: recorded, and these calls are to be run.
    `cancelled`: the turn is to stop. `failed`: for good, with the reason. `again`: this attempt failed, another may
    not. `superseded`: not this instance's any more. `goes_on`: the turn is not to end yet, a message was put into it
    that the next step is to read. `waits`: the tool call can't be run before something comes from outside. `parked`:
    the turn goes on under another instance, later.
    """

    outcome: Literal[
        "done", "ended", "tools", "cancelled", "failed", "again", "superseded", "goes_on", "waits", "parked"
    ]
    call_ids: list[str] = []
    failure: Failure | None = None


class LookInput(_Payload):
    """The attempts in flight that `look` is to judge."""

    work: list[Work]


class LookReply(_Payload):
    """For each attempt, in order: `alive`, `dead`, or `unbegun` (still queued, or its message is lost)."""

    verdicts: list[Literal["alive", "dead", "unbegun"]]
