"""The Durable service: instances and their messages outlive every process, and a message is delivered at least once.

Orchestrators are replayed by the real SDK. Activities are delivered to processes. If a process dies while an activity
runs, the host reports the failure, or the message becomes visible again after minutes and is delivered again.
"""

import asyncio
import inspect
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

import azure.durable_functions as df

from tests.simulation.clock import VirtualLoop, moment
from tests.simulation.observations import EXECUTION, Observations
from tests.simulation.processes import CURRENT, Process, ProcessDiedError
from turnlog.domain.errors import StoreUnavailableError
from turnlog.local.durable.activities import failure_of
from turnlog.local.durable.history import Activity, Event, Instance, Kind, format_timestamp, new_event, parse_timestamp
from turnlog.local.durable.replay import EpisodeRunner, Orchestrator, Outcome
from turnlog.local.host.functions import Function
from turnlog.orchestrations import activities
from turnlog.orchestrations.run_turn import run_turn

_VISIBILITY_SECONDS = (10.0, 300.0)
_MAX_STALL_SECONDS = 300.0
_POLL_SECONDS = 0.2


@dataclass
class _Execution:
    """An instance that has not ended. `stalled_until`: before this time nothing happens to it."""

    instance: Instance
    inbox: list[Event] = field(default_factory=list[Event])
    timers: dict[int, asyncio.TimerHandle] = field(default_factory=dict[int, asyncio.TimerHandle])
    outcome: Outcome | None = None
    is_scheduled: bool = False
    is_over: bool = False
    stalled_until: float = 0.0


@dataclass(frozen=True)
class Deliveries:
    """Where activities run, and what is uncertain about it.

    `pick` returns a process that is alive, or None. `loses_machines`: a death may take the machine, whose messages and
    instances are blocked for minutes. `twice`: how likely an activity is delivered twice.
    """

    pick: Callable[[], Process | None]
    loses_machines: bool = False
    twice: float = 0.0


class DurableService:
    """The task hub and its host."""

    def __init__(self, loop: VirtualLoop, rng: Random, deliveries: Deliveries, observations: Observations) -> None:
        self._loop = loop
        self._rng = rng
        self._deliveries = deliveries
        self._observations = observations
        self._live: dict[str, _Execution] = {}
        self._known: dict[str, str] = {}
        self._running: dict[Process, list[tuple[_Execution, Activity]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._activities = _activities(DurableClient(self))
        handle = df.Orchestrator.create(run_turn)
        self._orchestrator = Orchestrator("run_turn", handle, self._activities.keys())

    @property
    def instances(self) -> int:
        return len(self._known)

    def status(self, instance_id: str) -> str | None:
        return self._known.get(instance_id)

    def start(self, name: str, instance_id: str, payload: Any) -> None:
        """Start an instance. Raises RuntimeError with the extension's text if it runs already."""
        assert name == "run_turn"
        if self._known.get(instance_id) == "Running":
            raise RuntimeError("DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException")
        self._known[instance_id] = "Running"
        execution = self._live[instance_id] = _Execution(Instance(instance_id))
        self._arrive(execution, new_event(Kind.EXECUTION_STARTED, Name=name, Input=payload, Version=""))

    def stall_some(self) -> None:
        """Block some instances, as if a machine died while it held their messages."""
        for execution in self._live.values():
            if self._deliveries.loses_machines and self._rng.random() < 0.3:
                execution.stalled_until = self._loop.time() + self._rng.uniform(0, _MAX_STALL_SECONDS)

    def take_over(self, frozen: Process) -> None:
        """Deliver what runs in `frozen` to other processes as well."""
        for execution, task in self._running.get(frozen, ()):
            self._spawn(self._deliver(execution, task, self._rng.uniform(1, 60)))

    def _arrive(self, execution: _Execution, event: Event) -> None:
        execution.inbox.append(event)
        if not execution.is_scheduled and not execution.is_over:
            execution.is_scheduled = True
            self._spawn(self._run_episodes(execution))

    async def _run_episodes(self, execution: _Execution) -> None:
        while execution.inbox and not execution.is_over:
            delay = max(0.0, execution.stalled_until - self._loop.time())
            await asyncio.sleep(delay + self._rng.uniform(0.001, 0.05))
            self._run_episode(execution)
        execution.is_scheduled = False

    def _run_episode(self, execution: _Execution) -> None:
        instance = execution.instance
        inbox, execution.inbox = execution.inbox, []
        arrivals = [each for each in inbox if each["EventType"] == Kind.EXECUTION_STARTED or instance.is_awaited(each)]
        if not arrivals:
            return
        # Not before the time of a fired timer: an orchestrator that compares both sees that it is due.
        due = [parse_timestamp(each["FireAt"]) for each in arrivals if each["EventType"] == Kind.TIMER_FIRED]
        now = max(moment(self._loop.time()), instance.updated_at, *due)
        episode = EpisodeRunner(instance, self._orchestrator, now).run(arrivals, execution.outcome)
        execution.outcome = episode.outcome
        for event in episode.events:
            instance.add_played(event)
        for timer_id in episode.cancelled:
            if timer := execution.timers.pop(timer_id, None):
                timer.cancel()
        if episode.is_last:
            self._end(execution, episode.outcome)
            return
        for task in episode.opened:
            if isinstance(task, Activity):
                for _ in range(1 + (self._rng.random() < self._deliveries.twice)):
                    self._spawn(self._deliver(execution, task, self._rng.uniform(0.005, 0.1)))
            else:
                fired = new_event(Kind.TIMER_FIRED, TimerId=task.id, FireAt=format_timestamp(task.fire_at))
                due = (task.fire_at - moment(0)).total_seconds()
                execution.timers[task.id] = self._loop.call_at(due, self._arrive, execution, fired)

    def _end(self, execution: _Execution, outcome: Outcome | None) -> None:
        execution.is_over = True
        for timer in execution.timers.values():
            timer.cancel()
        self._live.pop(execution.instance.id, None)
        self._known[execution.instance.id] = "Completed" if outcome is None else outcome.status

    async def _deliver(self, execution: _Execution, task: Activity, delay: float) -> None:
        """Deliver `task` until its end is known."""
        await asyncio.sleep(delay)
        process = await self._pick()
        if execution.is_over or task.id not in execution.instance.open:
            return
        running = self._running.setdefault(process, [])
        running.append((execution, task))
        try:
            ended = await self._run(process, task)
        except ProcessDiedError:
            if self._deliveries.loses_machines and self._rng.random() < 0.5:
                self._spawn(self._deliver(execution, task, self._rng.uniform(*_VISIBILITY_SECONDS)))
                return
            ended = failure_of(task, "WorkerProcessExitException: the process stopped while it ran")
            await asyncio.sleep(self._rng.uniform(0.01, 2))
        finally:
            running.remove((execution, task))
        self._arrive(execution, ended)

    async def _pick(self) -> Process:
        """A process that is alive; the queue is polled until there is one."""
        process = self._deliveries.pick()
        while process is None:
            await asyncio.sleep(_POLL_SECONDS)
            process = self._deliveries.pick()
        return process

    async def _run(self, process: Process, task: Activity) -> Event:
        async def work() -> str:
            self._note_execution(task)
            return await self._activities[task.name].call_activity(task.input)

        try:
            result = await process.call(work)
            if json.loads(result)["outcome"] == "broken":
                self._observations.errors.append(f"{task.name} had an unexpected error; the log has it")
            return new_event(Kind.TASK_COMPLETED, TaskScheduledId=task.id, Result=result)
        except ProcessDiedError:
            raise
        except Exception as error:  # noqa: BLE001 - it is the app's; the orchestrator gets it
            if not isinstance(error, StoreUnavailableError):
                self._observations.errors.append(f"{task.name}: {type(error).__name__}: {error}")
            return failure_of(task, f"{type(error).__name__}: {error}")

    def _note_execution(self, task: Activity) -> None:
        value = json.loads(task.input or "null")
        value = json.loads(value) if isinstance(value, str) else value
        EXECUTION.set(self._observations.execution_of(task.name, value))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class DurableClient:
    """The durable client of the process that uses it."""

    def __init__(self, service: DurableService) -> None:
        self._service = service

    async def start_new(self, name: str, instance_id: str, payload: Any) -> None:
        await CURRENT.get().sleep(0.005)
        self._service.start(name, instance_id, json.loads(json.dumps(payload)))
        await CURRENT.get().sleep(0.005)

    async def get_status(self, instance_id: str) -> SimpleNamespace:
        with suppress(KeyError):
            await CURRENT.get().sleep(0.005)
        return SimpleNamespace(runtime_status=self._service.status(instance_id))


def _activities(client: DurableClient) -> dict[str, Function]:
    """Every activity of the app by its name; a second parameter gets the durable client."""
    functions: dict[str, Function] = {}
    for name, body in vars(activities).items():
        if inspect.iscoroutinefunction(body) and body.__module__ == activities.__name__:
            trigger, *others = inspect.signature(body).parameters
            functions[name] = Function(name, body, trigger, dict.fromkeys(others, client))  # pyright: ignore[reportArgumentType]
    return functions
