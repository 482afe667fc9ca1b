"""One episode of an orchestration: the SDK's own executor replays it, and what it asks for becomes events.

The SDK numbers the tasks that an orchestrator yields: 0, 1, 2 … `Instance.requested` holds them in the same order.
"""

import importlib
import json
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from azure.functions import OrchestrationContext

from turnlog.local.durable.history import (
    Activity,
    Event,
    Instance,
    Kind,
    Task,
    Timer,
    encode,
    encode_for_sdk,
    format_timestamp,
    new_event,
    opening_event,
    parse_timestamp,
)

_log = logging.getLogger(__name__)

_STATE_OF_FAILED = "\n\n$OutOfProcData$:"  # the SDK puts its state behind this into the exception it raises
_CREATE_TIMER = 5
_COMPOUND = {11, 12}
_REFUSED = {
    1: "call_activity_with_retry",
    2: "call_sub_orchestrator",
    3: "call_sub_orchestrator_with_retry",
    4: "continue_as_new",
    6: "wait_for_external_event",
    7: "call_entity",
    8: "call_http",
    9: "signal_entity",
}


# In each replay the SDK parses the timestamps of the whole history with dateutil, which takes longer than the replay
# itself: 0.14 ms each, a thousand times as long as this. It also makes the same class again, in 0.12 ms.
_sdk_history = vars(importlib.import_module("azure.durable_functions.models.history.HistoryEvent"))
_sdk_history["dt_parse"] = parse_timestamp
_sdk_executor = vars(importlib.import_module("azure.durable_functions.models.TaskOrchestrationExecutor"))
_sdk_executor["namedtuple"] = cache(_sdk_executor["namedtuple"])


class FatalError(Exception):
    """The instance fails at once, whatever is still open; the text becomes its output."""


class RefusedActionError(FatalError):
    """The orchestrator asks for something that the app does not use."""

    def __init__(self, action: str) -> None:
        super().__init__(
            f"the local host does not serve {action}: "
            "an orchestrator may use call_activity, create_timer, task_any and task_all"
        )


@dataclass(frozen=True)
class Outcome:
    """How an orchestrator ended; its instance ends with it as soon as no task is open."""

    status: str
    output: Any


@dataclass(frozen=True)
class Orchestrator:
    """A registered orchestrator: the SDK's handle, and the activities that it may call."""

    name: str
    handle: Callable[[OrchestrationContext], str]
    activities: Collection[str]


@dataclass
class Episode:
    """The result of one episode: its events, the tasks it opened, the timers it cancelled, and whether it was the last.

    `outcome` is set as soon as the orchestrator has ended, `is_last` when its instance has.
    """

    events: list[Event] = field(default_factory=list[Event])
    opened: list[Task] = field(default_factory=list[Task])
    cancelled: list[int] = field(default_factory=list[int])
    outcome: Outcome | None = None
    is_last: bool = False


class EpisodeRunner:
    """Runs one episode of `instance`, which it changes."""

    def __init__(self, instance: Instance, orchestrator: Orchestrator, now: datetime) -> None:
        self._instance = instance
        self._orchestrator = orchestrator
        self._now = now
        self._episode = Episode()

    def run(self, arrivals: list[Event], outcome: Outcome | None) -> Episode:
        """Take `arrivals` in and, unless the orchestrator has ended with `outcome`, replay it."""
        episode, instance = self._episode, self._instance
        episode.outcome = outcome
        for event in (new_event(Kind.ORCHESTRATOR_STARTED), *arrivals):
            self._add(event)
        try:
            if outcome is None:
                self._replay()
            episode.is_last = episode.outcome is not None and not instance.open
        except FatalError as error:
            _log.error("orchestration %s (%s): %s", instance.id, instance.name, error)
            episode.outcome, episode.is_last = Outcome("Failed", str(error)), True
        if episode.is_last and episode.outcome:
            status, output = episode.outcome.status, episode.outcome.output
            self._add(new_event(Kind.EXECUTION_COMPLETED, OrchestrationStatus=status, Result=output))
        self._add(new_event(Kind.ORCHESTRATOR_COMPLETED))
        opened = (instance.open.get(event["EventId"]) for event in episode.events)
        episode.opened = [task for task in opened if task]
        return episode

    def _add(self, event: Event) -> None:
        event["Timestamp"] = format_timestamp(self._now)
        self._instance.apply(event)
        self._episode.events.append(event)

    def _replay(self) -> None:
        state = _replay_with_sdk(self._orchestrator, self._instance, self._episode.events)
        if state.get("customStatus") is not None:
            raise RefusedActionError("set_custom_status")
        self._take(list(_flat(state["actions"])))
        if "error" in state:
            text = f"Orchestrator function '{self._instance.name}' failed: {state['error']}"
            self._episode.outcome = Outcome("Failed", text)
        elif state["isDone"]:
            self._episode.outcome = Outcome("Completed", state.get("output"))

    def _take(self, actions: list[Event]) -> None:
        """Compare `actions` with the tasks of earlier episodes, then open what is new in them."""
        requested = list(self._instance.requested)
        for index, task in enumerate(requested):
            _check_same(task, actions[index] if index < len(actions) else None)
            if isinstance(task, Timer) and actions[index].get("isCanceled"):
                self._cancel(task.id)
        for action in actions[len(requested) :]:
            self._open(action)

    def _open(self, action: Event) -> None:
        new_id = len(self._instance.requested)
        if action["actionType"] == _CREATE_TIMER:
            self._add(opening_event(Timer(new_id, parse_timestamp(action["fireAt"]))))
            if action["isCanceled"]:
                self._cancel(new_id)
            return
        name = action["functionName"]
        if name not in self._orchestrator.activities:
            known = ", ".join(f"'{each}'" for each in sorted(self._orchestrator.activities))
            raise FatalError(
                f"The function '{name}' doesn't exist, is disabled, or is not an activity function. "
                f"Additional info: The following are the known activity functions: {known}."
            )
        self._add(opening_event(Activity(new_id, name, action["input"])))

    def _cancel(self, timer_id: int) -> None:
        if timer_id in self._instance.open:
            self._add(new_event(Kind.TIMER_CANCELED, TimerId=timer_id))
            self._episode.cancelled.append(timer_id)


def _replay_with_sdk(orchestrator: Orchestrator, instance: Instance, events: list[Event]) -> dict[str, Any]:
    """Replay `instance` with its new `events` through the SDK and return the state that it reports.

    No durations of long timers are sent, as the Durable Task Scheduler sends none: a timer of any length is one timer.
    """
    rest = encode(
        {
            "instanceId": instance.id,
            "isReplaying": bool(instance.played),
            "parentInstanceId": None,
            "input": instance.input,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
        }
    )
    body = f'{{"history":[{",".join([*instance.played, *encode_for_sdk(events)])}],{rest[1:]}'
    try:
        return json.loads(orchestrator.handle(OrchestrationContext(body)))
    except Exception as error:  # any exception of the app's code fails the instance, not the host
        _log.warning("orchestrator %s of %s raised", instance.name, instance.id, exc_info=error.__cause__ or error)
        _, marked, state = str(error).rpartition(_STATE_OF_FAILED)
        if marked:
            return json.loads(state)
        raise FatalError(f"Orchestrator function '{instance.name}' failed: {error}") from error


def _flat(actions: list[Any]) -> Iterator[Event]:
    """Yield the single actions in the order in which the SDK numbered their tasks."""
    for action in actions:
        if isinstance(action, list):
            yield from _flat(action)  # pyright: ignore[reportUnknownArgumentType]
        elif action["actionType"] in _COMPOUND:
            yield from _flat(action["compoundActions"])
        elif action["actionType"] in _REFUSED:
            raise RefusedActionError(_REFUSED[action["actionType"]])
        else:
            yield action


def _check_same(task: Task, action: Event | None) -> None:
    """Raise unless a replay asks for `task` again, as DTFx does."""
    name = task.name if isinstance(task, Activity) else None
    described = "a timer task" if name is None else "an activity task"
    named = "" if name is None else f" and name '{name}'"
    if action is None:
        now = "the current replay execution hasn't (yet?) scheduled this task"
    elif action.get("functionName") != name:
        now = f"the current replay instead asks for {action.get('functionName') or 'a timer'} there"
    else:
        return
    raise FatalError(
        f"Non-Deterministic workflow detected: A previous execution of this orchestration scheduled {described} with "
        f"sequence ID {task.id}{named}, but {now}. Was a change made to the orchestrator code after this instance "
        "had already started running?"
    )
