"""The Durable engine: runs the instances of one task hub in episodes, and their activities.

The events of an instance wait in its inbox. An episode takes all of them, replays the orchestrator, commits the result,
and only then starts the new tasks. If the process is killed while an activity runs, the activity is reported as failed
and not run again, as on the real host.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from azure.functions import OrchestrationContext

from turnlog.local.durable.activities import Activities, failure_of
from turnlog.local.durable.history import (
    Activity,
    Event,
    Instance,
    Kind,
    Task,
    encode,
    format_timestamp,
    new_event,
    parse_timestamp,
)
from turnlog.local.durable.replay import Episode, EpisodeRunner, Orchestrator, Outcome
from turnlog.local.durable.taskhub import RUNNING, Change, TaskHub, Unfinished
from turnlog.local.host.functions import Index

_log = logging.getLogger(__name__)

_GATHER_SECONDS = 0.02
"""How long a result waits for the instance's other activities, so that one episode takes all, as on a busy host."""


class UnknownOrchestratorError(Exception):
    """No orchestrator of that name is registered."""


class AlreadyExistsError(Exception):
    """An instance with that id has not ended."""


@dataclass
class _Execution:
    """An instance that has not ended, with what the engine holds for it."""

    instance: Instance
    orchestrator: Orchestrator
    episodes: int = 0
    pending_activities: int = 0
    inbox: list[Event] = field(default_factory=list[Event])
    timers: dict[int, asyncio.TimerHandle] = field(default_factory=dict[int, asyncio.TimerHandle])
    outcome: Outcome | None = None
    in_episode: bool = False
    is_over: bool = False

    def end(self) -> None:
        """Take no more events; the results of activities that still run are dropped."""
        self.is_over = True
        for timer in self.timers.values():
            timer.cancel()


class Engine:
    """Owns every instance that has not ended. The caller closes `hub`, after the engine."""

    def __init__(self, index: Index, hub: TaskHub, slots: int) -> None:
        self._index = index
        self._hub = hub
        self._activities = Activities(index.activities, slots)
        self._live: dict[str, _Execution] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0
        self._is_draining = False
        self._holds_back = False
        self._is_drained = asyncio.Event()
        self._is_idle = asyncio.Event()

    async def recover(self) -> None:
        """Continue every instance that a former process left unfinished."""
        for unfinished in await self._hub.unfinished():
            self._resume(unfinished)

    async def drain(self) -> None:
        """Begin no activity any more: the next host does. Return once that keeps an instance from continuing.

        Activities that run continue to their end, or until `close`.
        """
        self._is_draining = True
        await self._is_drained.wait()

    async def finish(self) -> None:
        """Begin no activity any more, and return once none runs."""
        self._is_draining = True
        if self._running:
            await self._is_idle.wait()

    async def close(self) -> None:
        """Interrupt everything, as a crash would."""
        self._activities.close()
        for execution in self._live.values():
            execution.end()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    async def start(self, name: str, instance_id: str, payload: Any) -> None:
        """Start an instance; when this returns, it is stored with its first activities.

        Raises:
            UnknownOrchestratorError: no orchestrator has that name.
            AlreadyExistsError: the instance exists and has not ended.
        """
        if name not in self._index.orchestrators:
            raise UnknownOrchestratorError(name)
        if instance_id in self._live:
            raise AlreadyExistsError(instance_id)
        execution = _Execution(Instance(instance_id), self._orchestrator(name))
        execution.inbox.append(new_event(Kind.EXECUTION_STARTED, Name=name, Input=payload, Version=""))
        self._live[instance_id] = execution
        execution.in_episode = True
        try:
            await self._run_episode(execution)
        except Exception:
            del self._live[instance_id]
            raise
        finally:
            execution.in_episode = False
        self._wake(execution)

    def _orchestrator(self, name: str) -> Orchestrator:
        handle = self._index.orchestrators.get(name, _missing)
        return Orchestrator(name, handle, self._index.activities.keys())

    def _resume(self, unfinished: Unfinished) -> None:
        instance = Instance(unfinished.id)
        for episode in unfinished.episodes:
            for event in json.loads(episode):
                instance.apply(event)
                instance.add_played(event)
        execution = _Execution(instance, self._orchestrator(instance.name), episodes=len(unfinished.episodes))
        self._live[instance.id] = execution
        for task in list(instance.open.values()):
            if isinstance(task, Activity) and task.id in unfinished.started:
                execution.inbox.append(failure_of(task, "WorkerProcessExitException: the host stopped while it ran"))
            else:
                self._begin(execution, task)
        self._wake(execution)

    def _wake(self, execution: _Execution) -> None:
        if execution.inbox and not execution.in_episode and not execution.is_over:
            self._spawn(self._run_episodes(execution))

    async def _run_episodes(self, execution: _Execution) -> None:
        """Run episodes until the inbox is empty; while one call does this, another one returns at once."""
        if execution.in_episode:
            return
        execution.in_episode = True
        try:
            while execution.inbox and not execution.is_over:
                await self._run_episode(execution)
        except Exception:  # noqa: BLE001 - the store or the SDK failed: one instance must not stop the others
            _log.exception("orchestration %s stops until the host starts again", execution.instance.id)
            execution.end()
        finally:
            execution.in_episode = False

    async def _run_episode(self, execution: _Execution) -> None:
        instance = execution.instance
        inbox, execution.inbox = execution.inbox, []
        arrivals = [each for each in inbox if each["EventType"] == Kind.EXECUTION_STARTED or instance.is_awaited(each)]
        if not arrivals:
            return
        # `now` is not earlier than the time of a fired timer: an orchestrator that compares both sees that it is due.
        due = [parse_timestamp(each["FireAt"]) for each in arrivals if each["EventType"] == Kind.TIMER_FIRED]
        now = max(datetime.now(UTC), instance.updated_at, *due)
        episode = EpisodeRunner(instance, execution.orchestrator, now).run(arrivals, execution.outcome)
        execution.outcome = episode.outcome
        for timer_id in episode.cancelled:
            if timer := execution.timers.pop(timer_id, None):
                timer.cancel()
        if episode.is_last:
            execution.end()
        await self._commit(execution, episode)
        if episode.is_last:
            del self._live[instance.id]
        elif not execution.is_over:
            for task in episode.opened:
                self._begin(execution, task)

    async def _commit(self, execution: _Execution, episode: Episode) -> None:
        instance = execution.instance
        for event in episode.events:
            instance.add_played(event)
        number, execution.episodes = execution.episodes, execution.episodes + 1
        outcome = episode.outcome if episode.is_last else None
        change = Change(
            instance_id=instance.id,
            name=instance.name,
            episode=number,
            events=encode(episode.events),
            status=outcome.status if outcome else RUNNING,
            output=encode(outcome.output if outcome else None),
            updated=episode.events[-1]["Timestamp"],
            ended=[event["TaskScheduledId"] for event in episode.events if "TaskScheduledId" in event],
        )
        await self._hub.write(change)

    def _begin(self, execution: _Execution, task: Task) -> None:
        if isinstance(task, Activity):
            self._spawn(self._run_activity(execution, task))
            return
        delay = (task.fire_at - datetime.now(UTC)).total_seconds()
        fired = new_event(Kind.TIMER_FIRED, TimerId=task.id, FireAt=format_timestamp(task.fire_at))
        loop = asyncio.get_running_loop()
        execution.timers[task.id] = loop.call_later(max(0.0, delay), self._add_arrival, execution, fired)

    def _add_arrival(self, execution: _Execution, event: Event) -> None:
        execution.inbox.append(event)
        self._wake(execution)

    async def _run_activity(self, execution: _Execution, task: Activity) -> None:
        execution.pending_activities += 1
        async with self._activities.slots:
            if execution.is_over:
                return
            if self._is_draining:
                self._holds_back = True
                self._check_drained()
                return
            self._hub.mark_started(execution.instance.id, task.id)
            self._running += 1
            try:
                ended = await self._activities.run(task)
            finally:
                self._running -= 1
            await asyncio.sleep(0)  # first let readers run that the activity's events woke: an episode is slow
        execution.pending_activities -= 1
        if execution.is_over:
            return
        execution.inbox.append(ended)
        if execution.pending_activities:
            asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._wake, execution)
        else:
            await self._run_episodes(execution)
        self._check_drained()

    def _check_drained(self) -> None:
        if self._is_draining and not self._running:
            self._is_idle.set()
            if self._holds_back:
                self._is_drained.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _missing(_: OrchestrationContext) -> str:
    raise LookupError("the orchestrator function doesn't exist any more")
