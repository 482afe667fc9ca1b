"""One orchestration instance, folded from its history; the history is all that is stored of it.

Events are dictionaries in the form the Durable extension sends to the SDK (numeric `EventType`, names in Pascal case).
Beyond that form stand `Retry`, `Attempt` and `RetryOf`, which tie a retry to the call it repeats, and the
`GenericEvent` that notes a cancelled timer; the SDK ignores them all.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, NamedTuple, TypeAlias

Event: TypeAlias = dict[str, Any]


class Kind(IntEnum):
    """The event types of the Durable protocol that occur here."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    TIMER_CANCELED = 17  # GenericEvent: the protocol has no type of its own for it


_BEGINNING = datetime.min.replace(tzinfo=UTC)
# What moves the SDK on. It skips TaskScheduled, TimerCreated and OrchestratorCompleted, and parsing an event's time
# costs it a tenth of a millisecond in every replay, so it is not sent what it skips.
_READ_BY_SDK = {
    Kind.EXECUTION_STARTED,
    Kind.ORCHESTRATOR_STARTED,
    Kind.TASK_COMPLETED,
    Kind.TASK_FAILED,
    Kind.TIMER_FIRED,
}


@dataclass(frozen=True)
class Retry:
    """How a failed call is repeated: after `interval_ms`, and `attempts` times at most in all."""

    interval_ms: int
    attempts: int


@dataclass(frozen=True)
class Activity:
    """A scheduled activity whose end is not yet known."""

    id: int
    name: str
    input: str | None
    retry: Retry | None
    attempt: int = 1


@dataclass(frozen=True)
class Timer:
    """A timer that has neither fired nor been cancelled; `before` is the failed call that it holds back."""

    id: int
    fire_at: datetime
    before: Activity | None = None


class Planned(NamedTuple):
    """What the orchestrator itself asked for, in order: what a replay must ask for again."""

    id: int
    name: str | None  # None: a timer


def text_of(moment: datetime) -> str:
    """Return the form in which moments stand in histories and statuses."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def moment_of(text: str) -> datetime:
    """Return the moment that `text_of` wrote."""
    return datetime.fromisoformat(text)


def event(kind: Kind, event_id: int = -1, **fields: Any) -> Event:
    """Return an event of this episode; its `Timestamp` is set when the episode is."""
    return {"EventType": int(kind), "EventId": event_id, "IsPlayed": False, "Timestamp": "", **fields}


@dataclass
class Instance:
    """An instance as its events left it; `apply` is the only thing that changes it."""

    id: str
    name: str = ""
    input: Any = None
    last: datetime = _BEGINNING
    open: dict[int, Activity | Timer] = field(default_factory=dict[int, Activity | Timer])
    planned: list[Planned] = field(default_factory=list[Planned])
    next_id: int = 0
    played: list[str] = field(default_factory=list[str])
    _failed: dict[int, Activity] = field(default_factory=dict[int, Activity])

    def apply(self, happened: Event) -> None:
        """Take one event in."""
        match happened["EventType"]:
            case Kind.EXECUTION_STARTED:
                self.name, self.input = happened["Name"], happened["Input"]
            case Kind.TASK_SCHEDULED:
                self._scheduled(happened)
            case Kind.TIMER_CREATED:
                self._timer_created(happened)
            case Kind.TASK_COMPLETED | Kind.TASK_FAILED:
                ended = self.open.pop(happened["TaskScheduledId"])
                if isinstance(ended, Activity) and ended.retry and happened["EventType"] == Kind.TASK_FAILED:
                    self._failed[ended.id] = ended
            case Kind.TIMER_FIRED | Kind.TIMER_CANCELED:
                del self.open[happened["TimerId"]]
            case _:
                pass
        self.last = moment_of(happened["Timestamp"])

    def remember(self, happened: Event) -> None:
        """Keep `happened` as played, in the words the SDK will be sent in later episodes."""
        if happened["EventType"] in _READ_BY_SDK:
            self.played.append(encode({**happened, "IsPlayed": True}))

    def _scheduled(self, happened: Event) -> None:
        retry = Retry(*happened["Retry"]) if happened["Retry"] else None
        task = Activity(happened["EventId"], happened["Name"], happened["Input"], retry, happened["Attempt"])
        self.open[task.id] = task
        self.next_id = task.id + 1
        if task.attempt == 1:
            self.planned.append(Planned(task.id, task.name))

    def _timer_created(self, happened: Event) -> None:
        failed = happened["RetryOf"]
        before = None if failed is None else self._failed.pop(failed)
        timer = Timer(happened["EventId"], moment_of(happened["FireAt"]), before)
        self.open[timer.id] = timer
        self.next_id = timer.id + 1
        if before is None:
            self.planned.append(Planned(timer.id, None))

    def repeats(self, arrival: Event) -> bool:
        """Tell whether `arrival` only moves a retry on, so that the orchestrator learns nothing from it."""
        if arrival["EventType"] == Kind.TASK_FAILED:
            task = self.open.get(arrival["TaskScheduledId"])
            return isinstance(task, Activity) and task.retry is not None
        if arrival["EventType"] == Kind.TIMER_FIRED:
            timer = self.open.get(arrival["TimerId"])
            before = timer.before if isinstance(timer, Timer) else None
            return before is not None and before.retry is not None and before.attempt < before.retry.attempts
        return False

    def awaits(self, arrival: Event) -> bool:
        """Tell whether `arrival` ends something still open: not a cancelled timer, not a second report."""
        return arrival.get("TaskScheduledId", arrival.get("TimerId")) in self.open


def scheduled(task: Activity) -> Event:
    """Return the event that opens `task`."""
    retry = [task.retry.interval_ms, task.retry.attempts] if task.retry else None
    return event(Kind.TASK_SCHEDULED, task.id, Name=task.name, Input=task.input, Retry=retry, Attempt=task.attempt)


def timer_created(timer: Timer) -> Event:
    """Return the event that opens `timer`."""
    failed = timer.before.id if timer.before else None
    return event(Kind.TIMER_CREATED, timer.id, FireAt=text_of(timer.fire_at), RetryOf=failed)


def encode(value: Any) -> str:
    """Return compact JSON; escaped, since lone surrogates are valid JSON but no UTF-8 for SQLite to store."""
    return json.dumps(value, separators=(",", ":"))


def sent_to_sdk(events: list[Event]) -> list[str]:
    """Return those of `events` that the SDK reads, encoded."""
    return [encode(each) for each in events if each["EventType"] in _READ_BY_SDK]
