"""Plays the host of `run_turn`: its history in the Durable extension's JSON, replayed whole in every episode.

A test says what happens, one call an episode. The SDK's own executor runs the orchestrator, and the harness opens the
tasks that it requests as the extension does. If a replay requests something else than before, the episode fails.
"""

import json
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import azure.durable_functions as df
from azure.functions import OrchestrationContext

from turnlog.domain.ids import InstanceId, SessionId, TurnId
from turnlog.local.durable.history import Event, Kind, format_timestamp, parse_timestamp
from turnlog.orchestrations.contracts import Reply
from turnlog.orchestrations.run_turn import run_turn
from turnlog.scheduler import TurnStart

THEN = datetime(2026, 11, 1, 12, tzinfo=UTC)

Action: TypeAlias = dict[str, Any]

_CREATE_TIMER = 5
_FAILED_STATE = "\n\n$OutOfProcData$:"  # the SDK appends its state after this mark to the exception that it raises


@dataclass(frozen=True)
class Answer:
    """What the SDK reports of a replay: all actions requested until now, and how the orchestrator ended, if it has."""

    actions: Sequence[Action]
    is_done: bool
    output: Any
    error: str | None

    @property
    def kinds(self) -> list[str]:
        """What DTFx compares between replays: the name of each task, in the order of the ids."""
        return [action.get("functionName", "timer") for action in self.actions]

    @property
    def ended(self) -> str | None:
        """How the instance ended: its outcome, `raised`, or None while it runs."""
        if self.error is not None:
            return "raised"
        return self.output["outcome"] if self.is_done else None

    @property
    def requests(self) -> list[Action]:
        """The actions without what may still change: whether a timer was cancelled."""
        return [{key: value for key, value in action.items() if key != "isCanceled"} for action in self.actions]


@dataclass
class Task:
    """An activity, or a timer (without a name), whose end is not in the history."""

    id: int
    name: str = ""
    payload: dict[str, Any] = field(default_factory=dict[str, Any])
    fire_at: datetime = THEN


def replay(payload: dict[str, Any], history: Sequence[Event]) -> Answer:
    """Run today's orchestrator through the whole of `history`; its last episode is the new one."""
    started = max(place for place, event in enumerate(history) if event["EventType"] == Kind.ORCHESTRATOR_STARTED)
    body = {
        "history": [{**event, "IsPlayed": place < started} for place, event in enumerate(history)],
        "input": json.dumps(payload),
        "instanceId": payload["instance_id"],
        "isReplaying": started > 0,
        "parentInstanceId": None,
        "upperSchemaVersion": 1,
        "upperSchemaVersionNew": 2,
        "maximumShortTimerDuration": "6.00:00:00",
        "longRunningTimerIntervalDuration": "3.00:00:00",
    }
    handle = df.Orchestrator.create(run_turn)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Potential duplicate")  # the end of a task that was never requested
        try:
            state = json.loads(handle(OrchestrationContext(json.dumps(body))))
        except Exception as error:
            _, marked, text = str(error).rpartition(_FAILED_STATE)
            if not marked:
                raise
            state = json.loads(text)
    return Answer(list(_flat(state["actions"])), state["isDone"], state.get("output"), state.get("error"))


def _flat(actions: list[Any]) -> Generator[Action]:
    """The single actions, in the order of their tasks' ids."""
    for action in actions:
        if isinstance(action, list):
            yield from _flat(action)  # pyright: ignore[reportUnknownArgumentType]
        elif "compoundActions" in action:
            yield from _flat(action["compoundActions"])
        else:
            yield action


class Turn:
    """An instance of `run_turn` from its start. Each method that says what happens is one episode."""

    def __init__(self, *, max_steps: int = 5, timeout: float = 900, first_attempt: int = 1) -> None:
        turn = TurnStart(
            session_id=SessionId("ses_1"),
            turn_id=TurnId("turn_1"),
            instance_id=InstanceId("turn_1"),
            deadline=THEN + timedelta(seconds=timeout),
            max_steps=max_steps,
            retry_seconds=1,
            max_retry_seconds=30,
            first_attempt=first_attempt,
        )
        self.payload = turn.dump()
        self.now = THEN
        self.history: list[Event] = []
        self.open: dict[int, Task] = {}
        self._scheduled: list[Task] = []
        self._answers: dict[int, Answer] = {}
        self._arrivals: list[Event] | None = None
        self._happens(
            Kind.EXECUTION_STARTED,
            Name="run_turn",
            Version="",
            Input=json.dumps(self.payload),
            OrchestrationInstance={"InstanceId": turn.instance_id, "ExecutionId": "0"},
            ParentInstance=None,
            Tags=None,
        )

    # What happens

    def reply(
        self, name: str, outcome: Any, *, attempt: int | None = None, call: str | None = None, **fields: Any
    ) -> None:
        """The activity replies. Of several open activities of that name, the newest is meant."""
        self.complete(self._find(name, attempt, call), Reply[Any](outcome=outcome, **fields).dump())

    def complete(self, task: Task, result: dict[str, Any]) -> None:
        self._happens(Kind.TASK_COMPLETED, TaskScheduledId=task.id, Result=json.dumps(result))

    def fail(self, name: str, *, attempt: int | None = None, call: str | None = None) -> None:
        """The activity's worker process is killed."""
        self.fail_task(self._find(name, attempt, call))

    def interrupt(self, name: str, *, call: str | None = None) -> None:
        """The activity's worker process is killed, and the pause before the next attempt passes."""
        self.fail(name, call=call)
        self.fire()

    def fail_task(self, task: Task) -> None:
        reason = f"Activity function '{task.name}' failed: WorkerProcessExitException"
        self._happens(Kind.TASK_FAILED, TaskScheduledId=task.id, Reason=reason, Details="")

    def fire(self, timer: Task | None = None) -> None:
        """Nothing happens until `timer`, or the next one, fires."""
        timer = timer or min(self.timers, key=lambda timer: timer.fire_at)
        self.now = max(self.now, timer.fire_at)
        self._happens(Kind.TIMER_FIRED, TimerId=timer.id, FireAt=format_timestamp(timer.fire_at))

    def later(self, seconds: float) -> None:
        """Time passes before the next thing happens."""
        self.now += timedelta(seconds=seconds)

    @contextmanager
    def at_once(self) -> Generator[None]:
        """Everything that happens in the body is one episode."""
        self._arrivals = []
        yield
        arrivals, self._arrivals = self._arrivals, None
        self._episode(arrivals)

    # What the orchestrator did

    @property
    def requested(self) -> list[str]:
        """The activities started until now: `call_model 1#1` is step 1's first attempt."""
        return [_text(task) for task in self._scheduled if task.name]

    @property
    def scheduled(self) -> list[tuple[str, dict[str, Any]]]:
        """The activities started until now, with their inputs."""
        return [(task.name, task.payload) for task in self._scheduled if task.name]

    @property
    def activities(self) -> list[Task]:
        return [task for task in self.open.values() if task.name]

    @property
    def timers(self) -> list[Task]:
        return [task for task in self.open.values() if not task.name]

    @property
    def latest(self) -> Answer:
        return self._answers[max(self._answers)]

    @property
    def ended(self) -> str | None:
        return self.latest.ended

    @property
    def finish_input(self) -> dict[str, Any]:
        """The input of the newest finish_turn."""
        return next(payload for name, payload in reversed(self.scheduled) if name == "finish_turn")

    def check_replay(self, end: int) -> None:
        """A replay of the first `end` events of the history requests the same as all others."""
        again = replay(self.payload, self.history[:end])
        assert again.requests == self.latest.requests[: len(again.requests)]
        assert again == self._answers.get(end, again)

    # How it is played

    def _find(self, name: str, attempt: int | None = None, call: str | None = None) -> Task:
        return next(
            task
            for task in reversed(self.activities)
            if task.name == name
            and attempt in {None, task.payload.get("attempt")}
            and call in {None, task.payload.get("call_id")}
        )

    def _happens(self, kind: Kind, **fields: Any) -> None:
        arrival = self._event(kind, **fields)
        if self._arrivals is None:
            self._episode([arrival])
        else:
            self._arrivals.append(arrival)

    def _episode(self, arrivals: Sequence[Event]) -> None:
        before = self.latest if self._answers else Answer([], is_done=False, output=None, error=None)
        assert before.ended is None
        self.history += [self._event(Kind.ORCHESTRATOR_STARTED), *arrivals]
        for arrival in arrivals:
            self.open.pop(arrival.get("TaskScheduledId", arrival.get("TimerId", -1)), None)
        answer = replay(self.payload, self.history)
        assert answer.requests[: len(before.requests)] == before.requests, "non-determinism"
        self._answers[len(self.history)] = answer
        for number, action in enumerate(answer.actions):
            if number >= len(before.actions):
                self._opens(number, action)
            if action.get("isCanceled"):
                self.open.pop(number, None)
        if answer.ended is not None:
            status = "Failed" if answer.ended == "raised" else "Completed"
            result = json.dumps(answer.output)
            self.history.append(self._event(Kind.EXECUTION_COMPLETED, OrchestrationStatus=status, Result=result))
        self.history.append(self._event(Kind.ORCHESTRATOR_COMPLETED))

    def _opens(self, number: int, action: Action) -> None:
        if action["actionType"] == _CREATE_TIMER:
            task = Task(number, fire_at=parse_timestamp(action["fireAt"]))
            self.history.append(self._event(Kind.TIMER_CREATED, number, FireAt=format_timestamp(task.fire_at)))
        else:
            name, payload = action["functionName"], action["input"]
            task = Task(number, name, json.loads(payload))
            self.history.append(self._event(Kind.TASK_SCHEDULED, number, Name=name, Version="", Input=payload))
        self.open[number] = task
        self._scheduled.append(task)

    def _event(self, kind: Kind, event_id: int = -1, **fields: Any) -> Event:
        return {
            "EventType": int(kind),
            "EventId": event_id,
            "IsPlayed": False,
            "Timestamp": format_timestamp(self.now),
            **fields,
        }


def _text(task: Task) -> str:
    return f"{task.name} {_attempt(task.payload)}"


def _attempt(work: dict[str, Any]) -> str:
    return f"{work.get('call_id') or work.get('ends') or work['step']}#{work['attempt']}"
