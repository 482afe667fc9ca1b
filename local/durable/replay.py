"""One episode of an orchestration: the SDK's own executor replays it, and what it asks for becomes events.

The SDK numbers its tasks by a counter: one number for every task it yields, and one for every timer and repetition of
a retried call, taken as it reads their events. Here the same numbers must come out, so in each episode the arrivals
that only move a retry on come first: they take their numbers before the orchestrator runs on and takes its own.
"""

import importlib
import json
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from azure.functions import OrchestrationContext

from local.durable.history import (
    Activity,
    Event,
    Instance,
    Kind,
    Planned,
    Retry,
    Timer,
    encode,
    event,
    moment_of,
    scheduled,
    sent_to_sdk,
    text_of,
    timer_created,
)

logger = logging.getLogger(__name__)

_CUSTOM_STATUS_BYTES = 16 * 1024
_STATE_OF_FAILED = "\n\n$OutOfProcData$:"  # the SDK puts its state behind this into the exception it raises
_CALL_ACTIVITY, _CALL_ACTIVITY_WITH_RETRY, _CREATE_TIMER = 0, 1, 5
_COMPOUND = {11, 12}
_UNSERVED = {
    2: "call_sub_orchestrator",
    3: "call_sub_orchestrator_with_retry",
    4: "continue_as_new",
    6: "wait_for_external_event",
    7: "call_entity",
    8: "call_http",
    9: "signal_entity",
}


# The SDK parses the timestamps of the whole history anew in every replay, which takes longer than the replay: the same
# few texts each time, which are looked up here.
_sdk_history = vars(importlib.import_module("azure.durable_functions.models.history.HistoryEvent"))
_sdk_history["dt_parse"] = lru_cache(10_000)(_sdk_history["dt_parse"])


class FatalError(Exception):
    """The instance fails at once, whatever is still open; the text becomes its output."""


@dataclass(frozen=True)
class Outcome:
    """How an orchestrator ended; the instance ends with it when nothing is open any more."""

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
    """What one episode added: its events, what they opened and cancelled, and how far the instance has come."""

    events: list[Event] = field(default_factory=list[Event])
    opened: list[Activity | Timer] = field(default_factory=list[Activity | Timer])
    cancelled: list[int] = field(default_factory=list[int])
    outcome: Outcome | None = None
    custom_status: Any = None
    final: bool = False


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
        self._add(event(Kind.ORCHESTRATOR_STARTED))
        for arrival in sorted(arrivals, key=lambda each: not instance.repeats(each)):
            self._arrive(arrival)
        try:
            if outcome is None:
                self._replay()
            episode.final = episode.outcome is not None and not instance.open
        except FatalError as error:
            logger.error("orchestration %s (%s): %s", instance.id, instance.name, error)  # noqa: TRY400 - it says all
            episode.outcome, episode.final = Outcome("Failed", str(error)), True
        if episode.final and episode.outcome:
            ended = episode.outcome
            self._add(event(Kind.EXECUTION_COMPLETED, OrchestrationStatus=ended.status, Result=ended.output))
        self._add(event(Kind.ORCHESTRATOR_COMPLETED))
        opened = (instance.open.get(each["EventId"]) for each in episode.events)
        episode.opened = [each for each in opened if each]
        return episode

    def _add(self, happened: Event) -> None:
        happened["Timestamp"] = text_of(self._now)
        self._instance.apply(happened)
        self._episode.events.append(happened)

    def _arrive(self, arrival: Event) -> None:
        instance = self._instance
        repeats = instance.repeats(arrival)
        task = instance.open.get(arrival.get("TaskScheduledId", arrival.get("TimerId", -1)))
        self._add(arrival)
        if not repeats:
            return
        if isinstance(task, Activity) and task.retry:
            fire_at = self._now + timedelta(milliseconds=task.retry.interval_ms)
            self._add(timer_created(Timer(instance.next_id, fire_at, task)))
        elif isinstance(task, Timer) and task.before:
            self._add(scheduled(replace(task.before, id=instance.next_id, attempt=task.before.attempt + 1)))

    def _replay(self) -> None:
        reply = _ask(self._orchestrator, self._instance, self._episode.events)
        if reply.get("customStatus") is not None:
            self._episode.custom_status = _checked_status(reply["customStatus"])
        self._follow(list(_flat(reply["actions"])))
        if "error" in reply:
            text = f"Orchestrator function '{self._instance.name}' failed: {reply['error']}"
            self._episode.outcome = Outcome("Failed", text)
        elif reply["isDone"]:
            self._episode.outcome = Outcome("Completed", reply.get("output"))

    def _follow(self, actions: list[Event]) -> None:
        """Check `actions` against what was asked for before, then act on what is new in them."""
        planned = list(self._instance.planned)
        for place, before in enumerate(planned):
            _check_same(before, actions[place] if place < len(actions) else None)
            if before.name is None and actions[place].get("isCanceled"):
                self._cancel(before.id)
        for action in actions[len(planned) :]:
            self._open(action)

    def _open(self, action: Event) -> None:
        new_id = self._instance.next_id
        if action["actionType"] == _CREATE_TIMER:
            self._add(timer_created(Timer(new_id, moment_of(action["fireAt"]))))
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
        options = action.get("retryOptions")
        retry = Retry(options["firstRetryIntervalInMilliseconds"], options["maxNumberOfAttempts"]) if options else None
        self._add(scheduled(Activity(new_id, name, action["input"], retry)))

    def _cancel(self, timer_id: int) -> None:
        if timer_id in self._instance.open:
            self._add(event(Kind.TIMER_CANCELED, TimerId=timer_id))
            self._episode.cancelled.append(timer_id)


def _ask(orchestrator: Orchestrator, instance: Instance, events: list[Event]) -> dict[str, Any]:
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
    body = f'{{"history":[{",".join([*instance.played, *sent_to_sdk(events)])}],{rest[1:]}'
    try:
        return json.loads(orchestrator.handle(OrchestrationContext(body)))
    except Exception as error:  # whatever user code raises fails the instance, not the host
        logger.warning("orchestrator %s of %s raised", instance.name, instance.id, exc_info=error.__cause__ or error)
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
        elif action["actionType"] in _UNSERVED:
            raise FatalError(f"the local host does not serve {_UNSERVED[action['actionType']]}")
        else:
            yield action


def _check_same(before: Planned, action: Event | None) -> None:
    """Raise unless a replay asks again for what stands in the history, as DTFx does."""
    was = "a timer task" if before.name is None else "an activity task"
    named = "" if before.name is None else f" and name '{before.name}'"
    if action is None:
        now = "the current replay execution hasn't (yet?) scheduled this task"
    elif action.get("functionName") != before.name:
        now = f"the current replay instead asks for {action.get('functionName') or 'a timer'} there"
    else:
        return
    raise FatalError(
        f"Non-Deterministic workflow detected: A previous execution of this orchestration scheduled {was} with "
        f"sequence ID {before.id}{named}, but {now}. Was a change made to the orchestrator code after this instance "
        "had already started running?"
    )


def _checked_status(status: Any) -> Any:
    if len(json.dumps(status, ensure_ascii=False).encode("utf-16-le", "surrogatepass")) > _CUSTOM_STATUS_BYTES:
        raise FatalError("The custom status is larger than 16 KB of UTF-16 text.")
    return status
