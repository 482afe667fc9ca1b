"""One orchestration instance, folded from its history; the history is all that is stored of it.

Events are dictionaries in the form in which the Durable extension sends them to the SDK: numeric `EventType`, names in
Pascal case. The protocol has no event for a cancelled timer, so a `GenericEvent` notes it, which the SDK ignores.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, TypeAlias

Event: TypeAlias = dict[str, Any]


class Kind(IntEnum):
    """The event types of the Durable protocol that occur here."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    TIMER_CANCELED = 17  # GenericEvent


_BEGINNING = datetime.min.replace(tzinfo=UTC)
# The events that the SDK acts on. It skips TaskScheduled, TimerCreated and OrchestratorCompleted. To parse the time of
# an event costs it a tenth of a millisecond in each replay, so the events that it skips are not sent.
_READ_BY_SDK = {
    Kind.EXECUTION_STARTED,
    Kind.ORCHESTRATOR_STARTED,
    Kind.TASK_COMPLETED,
    Kind.TASK_FAILED,
    Kind.TIMER_FIRED,
}


@dataclass(frozen=True)
class Activity:
    """A scheduled activity; `input` is JSON."""

    id: int
    name: str
    input: str | None


@dataclass(frozen=True)
class Timer:
    """A timer of the orchestrator."""

    id: int
    fire_at: datetime


Task: TypeAlias = Activity | Timer


def format_timestamp(moment: datetime) -> str:
    """Return `moment` as histories and statuses write it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def parse_timestamp(text: str) -> datetime:
    """Parse what `format_timestamp` wrote."""
    return datetime.fromisoformat(text)


def new_event(kind: Kind, event_id: int = -1, **fields: Any) -> Event:
    """Return an event without its time: the episode that takes it in sets its `Timestamp`."""
    return {"EventType": int(kind), "EventId": event_id, "IsPlayed": False, "Timestamp": "", **fields}


def opening_event(task: Task) -> Event:
    """Return the event that opens `task`."""
    if isinstance(task, Activity):
        return new_event(Kind.TASK_SCHEDULED, task.id, Name=task.name, Input=task.input)
    return new_event(Kind.TIMER_CREATED, task.id, FireAt=format_timestamp(task.fire_at))


@dataclass
class Instance:
    """An instance after its last event; only `apply` changes its fold.

    `requested` are all tasks that the orchestrator asked for, in order: a replay must ask for the same. The SDK numbers
    tasks in this order, so a task's id is its index. `open` are those of them that have neither ended nor been
    cancelled. `played` are the events that the next episode sends to the SDK, encoded.
    """

    id: str
    name: str = ""
    input: Any = None
    updated_at: datetime = _BEGINNING
    requested: list[Task] = field(default_factory=list[Task])
    open: dict[int, Task] = field(default_factory=dict[int, Task])
    played: list[str] = field(default_factory=list[str])

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event["EventType"]:
            case Kind.EXECUTION_STARTED:
                self.name, self.input = event["Name"], event["Input"]
            case Kind.TASK_SCHEDULED:
                self._open(Activity(event["EventId"], event["Name"], event["Input"]))
            case Kind.TIMER_CREATED:
                self._open(Timer(event["EventId"], parse_timestamp(event["FireAt"])))
            case Kind.TASK_COMPLETED | Kind.TASK_FAILED:
                del self.open[event["TaskScheduledId"]]
            case Kind.TIMER_FIRED | Kind.TIMER_CANCELED:
                del self.open[event["TimerId"]]
            case _:
                pass
        self.updated_at = parse_timestamp(event["Timestamp"])

    def add_played(self, event: Event) -> None:
        """Keep `event` for later episodes, if the SDK reads it."""
        if event["EventType"] in _READ_BY_SDK:
            self.played.append(encode({**event, "IsPlayed": True}))

    def is_awaited(self, arrival: Event) -> bool:
        """Return whether `arrival` ends an open task: not a cancelled timer, not an activity that has ended before."""
        return arrival.get("TaskScheduledId", arrival.get("TimerId")) in self.open

    def _open(self, task: Task) -> None:
        self.requested.append(task)
        self.open[task.id] = task


def encode(value: Any) -> str:
    """Return compact JSON in ASCII: a lone surrogate is valid JSON, but SQLite cannot store it as UTF-8."""
    return json.dumps(value, separators=(",", ":"))


def encode_for_sdk(events: list[Event]) -> list[str]:
    """Return those of `events` that the SDK reads, encoded."""
    return [encode(each) for each in events if each["EventType"] in _READ_BY_SDK]
