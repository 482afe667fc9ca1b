"""The payloads that live in orchestration histories, and one table: activity and outcome -> what `run_turn` does next.

Histories outlive deployments: add optional fields and outcomes, never rename or remove one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, auto
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar

from pydantic import AwareDatetime

from turnlog.domain.ids import InstanceId, ProjectId, SessionId, TurnId
from turnlog.domain.turn import Fence
from turnlog.domain.values import Failure, TurnOutcome
from turnlog.scheduler import Payload, TurnStart
from turnlog.services.projects.deletions import PageOutcome
from turnlog.services.projects.webhooks import DeliveryOutcome
from turnlog.services.turns.approvals import ParkOutcome
from turnlog.services.turns.attempts import AttemptRequest
from turnlog.services.turns.endings import EndOutcome, EndRequest
from turnlog.services.turns.model_calls import ModelCallOutcome
from turnlog.services.turns.tool_calls import ToolCallOutcome
from turnlog.timings import SHUTDOWN_MARGIN

Outcome = TypeVar("Outcome", bound=str)


class Work(Payload):
    """One attempt of one activity of a turn.

    `call_id` names the tool call. `calls_before`: how often earlier attempts called the model. `after`: the code of the
    failure of the attempt before this one. For `finish_turn`:
    `ends` and `failure` say how the turn is to end; after the step `continues_after` it may continue instead.
    """

    session_id: SessionId
    turn_id: TurnId
    instance_id: InstanceId
    deadline: AwareDatetime
    step: int = 0
    attempt: int = 1
    last_step: bool = False
    call_id: str | None = None
    calls_before: int | None = None
    ends: TurnOutcome | None = None
    continues_after: int | None = None
    failure: Failure | None = None
    trace_id: str | None = None
    after: str | None = None

    @classmethod
    def of(cls, turn: TurnStart, **details: Any) -> Self:
        return cls(
            session_id=turn.session_id,
            turn_id=turn.turn_id,
            instance_id=turn.instance_id,
            deadline=turn.deadline,
            trace_id=turn.trace_id,
            **details,
        )

    @property
    def fence(self) -> Fence:
        return Fence(self.turn_id, self.instance_id)

    @property
    def attempt_request(self) -> AttemptRequest:
        return AttemptRequest(
            session_id=self.session_id,
            fence=self.fence,
            step=self.step,
            attempt=self.attempt,
            deadline=self.deadline,
            last_step=self.last_step,
            call_id=self.call_id,
            calls_before=self.calls_before or 0,
        )

    def end_request(self, now: datetime) -> EndRequest:
        return EndRequest(self.ends or "failed", self.failure, self.continues_after, has_time=now < self.deadline)


class DeletionWork(Payload):
    """A page of sessions that an instance of `run_deletion` deletes. `is_last`: after it comes another instance."""

    project_id: ProjectId
    generation: int
    is_last: bool = False


class Reply(Payload, Generic[Outcome]):
    """What an activity returns. The services say what their outcomes mean.

    `call_ids` are the tool calls to run, `calls` how often a failed attempt called the model.
    """

    outcome: Outcome
    call_ids: list[str] = []
    failure: Failure | None = None
    calls: int | None = None


class Next(IntEnum):
    """What `run_turn` does after a reply. Of the replies of several tool calls, the smallest value decides."""

    END_INSTANCE = auto()
    """Nothing more: the turn has ended or is parked, or it does not belong to this instance any more."""
    CANCEL_TURN = auto()
    FAIL_TURN = auto()
    PARK_TURN = auto()
    NEXT_STEP = auto()
    RUN_TOOLS = auto()
    COMPLETE_TURN = auto()
    RETRY = auto()
    """Make another attempt. The service replies this only as often as it may."""
    RETRY_LATER = auto()
    """The store was not available: make another attempt after a pause, however often."""
    RETRY_AFTER_ERROR = auto()
    """The program itself failed: make another attempt after a pause, but not often."""
    FAIL_INSTANCE = auto()
    """The sweep hands the turn over to another instance, or ends it at its deadline."""


@dataclass(frozen=True)
class Activity(Generic[Outcome]):
    """An activity of `run_turn`, and what is next after each of its outcomes.

    `grace` is how long after the turn's deadline an attempt may still begin.
    """

    name: str
    reply: type[Reply[Outcome]]
    next: Mapping[Outcome, Next]
    grace: timedelta = timedelta(0)

    def next_after(self, outcome: Outcome) -> Next:
        """What is next after `outcome`, which may be one that every activity has."""
        return _NEXT_AFTER_INTERRUPTION.get(outcome) or self.next[outcome]


Interrupted: TypeAlias = Literal["unavailable", "broken", "failed"]
"""What can come of every activity. `unavailable`: the store was not available. `broken`: an unexpected error.
`failed`: the orchestrator gave up, after too many such attempts."""

_NEXT_AFTER_INTERRUPTION: Mapping[str, Next] = {
    "unavailable": Next.RETRY_LATER,
    "broken": Next.RETRY_AFTER_ERROR,
}

ModelReply: TypeAlias = Reply[ModelCallOutcome | Interrupted]
ToolReply: TypeAlias = Reply[ToolCallOutcome | Interrupted]
ParkReply: TypeAlias = Reply[ParkOutcome | Interrupted]
DeletionReply: TypeAlias = Reply[PageOutcome | Interrupted]
EndReply: TypeAlias = Reply[EndOutcome | Interrupted]
WebhookReply: TypeAlias = Reply[DeliveryOutcome | Interrupted]

CALL_MODEL = Activity(
    "call_model",
    ModelReply,
    {
        "done": Next.COMPLETE_TURN,
        "ended": Next.END_INSTANCE,
        "tools": Next.RUN_TOOLS,
        "cancelled": Next.CANCEL_TURN,
        "failed": Next.FAIL_TURN,
        "retry": Next.RETRY,
        "superseded": Next.END_INSTANCE,
    },
)
RUN_TOOL = Activity(
    "run_tool",
    ToolReply,
    {
        "done": Next.NEXT_STEP,
        "waits": Next.PARK_TURN,
        "cancelled": Next.CANCEL_TURN,
        "failed": Next.FAIL_TURN,
        "superseded": Next.END_INSTANCE,
    },
)
PARK_TURN = Activity(
    "park_turn",
    ParkReply,
    {
        "parked": Next.END_INSTANCE,
        "cancelled": Next.CANCEL_TURN,
        "failed": Next.FAIL_TURN,
        "superseded": Next.END_INSTANCE,
    },
)
FINISH_TURN = Activity(
    "finish_turn",
    EndReply,
    {
        "done": Next.END_INSTANCE,
        "continues": Next.NEXT_STEP,
        "failed": Next.FAIL_INSTANCE,
        "superseded": Next.END_INSTANCE,
    },
    grace=SHUTDOWN_MARGIN,
)
