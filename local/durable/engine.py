"""The Durable engine: runs the instances of one task hub, an episode at a time, and the activities between them.

What happened to an instance waits in its inbox; an episode takes all that waits, replays the orchestrator and commits
what came of it, and only then starts what was asked for. An activity that ran when the process died is reported as
failed, as the real host reports it, and not run again.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from azure.functions import OrchestrationContext

from local.durable.activities import Activities, failed
from local.durable.history import Activity, Event, Instance, Kind, Timer, encode, event, moment_of, text_of
from local.durable.replay import Episode, EpisodeRunner, Orchestrator, Outcome
from local.durable.taskhub import OVER, Change, Filter, Row, TaskHub, Unfinished
from local.host.index import Index
from local.host.invoke import Invoker

logger = logging.getLogger(__name__)

_GATHERING_SECONDS = 0.02
"""How long an end waits for those of the instance's other activities: one episode for all, as a busy host gives."""


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
    activities: int = 0
    inbox: list[Event] = field(default_factory=list[Event])
    alarms: dict[int, asyncio.TimerHandle] = field(default_factory=dict[int, asyncio.TimerHandle])
    outcome: Outcome | None = None
    driving: bool = False
    over: bool = False

    def end(self) -> None:
        """Take no more events; activities that still run are nobody's."""
        self.over = True
        for alarm in self.alarms.values():
            alarm.cancel()


class Engine:
    """Owns every instance that has not ended; `hub` is borrowed, and open for as long as the engine is."""

    def __init__(self, index: Index, hub: TaskHub, invoker: Invoker, slots: int) -> None:
        self._index = index
        self._hub = hub
        self._activities = Activities(index.activities, invoker, slots)
        self._live: dict[str, _Execution] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def recover(self) -> None:
        """Go on with every instance that a former process left unfinished."""
        for each in await self._hub.unfinished():
            self._resume(each)

    async def close(self) -> None:
        """Stop where things stand; what runs is left as a crash would leave it."""
        self._activities.close()
        for execution in self._live.values():
            execution.end()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    async def start(self, name: str, instance_id: str, given: Any, version: str) -> None:
        """Start an instance; it is stored, its first activities with it, when this returns.

        Raises:
            UnknownOrchestratorError: no orchestrator has that name.
            AlreadyExistsError: the instance exists and has not ended.
        """
        if name not in self._index.orchestrators:
            raise UnknownOrchestratorError(name)
        if instance_id in self._live:
            raise AlreadyExistsError(instance_id)
        execution = _Execution(Instance(instance_id), self._orchestrator(name))
        execution.inbox.append(event(Kind.EXECUTION_STARTED, Name=name, Input=given, Version=version))
        self._live[instance_id] = execution
        execution.driving = True
        try:
            await self._episode(execution)
        except Exception:
            del self._live[instance_id]
            raise
        finally:
            execution.driving = False
        self._wake(execution)

    async def terminate(self, instance_id: str, reason: str) -> Literal["terminated", "ended before", "unknown"]:
        """End an instance at once; its running activities go on, but nobody hears of their end."""
        execution = self._live.get(instance_id)
        if execution is None:
            row, _ = await self._hub.read(instance_id)
            return "ended before" if row else "unknown"
        if not execution.over:
            execution.end()
            ended = event(Kind.EXECUTION_TERMINATED, Input=reason)
            ended["Timestamp"] = text_of(datetime.now(UTC))
            await self._commit(execution, Episode([ended], outcome=Outcome("Terminated", reason), final=True))
            self._forget(execution)
        return "terminated"

    async def purge(self, instance_id: str) -> int:
        """Delete an instance, also one that has not ended, as the Azure Storage provider does."""
        execution = self._live.pop(instance_id, None)
        if execution:
            execution.end()
        return await self._hub.delete([instance_id])

    async def purge_by(self, wanted: Filter) -> int:
        """Delete the ended instances meant by `wanted`; return how many."""
        found = await self._hub.find(wanted)
        return await self._hub.delete([row.id for row in found if row.status in OVER and row.id not in self._live])

    def _orchestrator(self, name: str) -> Orchestrator:
        handle = self._index.orchestrators.get(name, _missing)
        return Orchestrator(name, handle, self._index.activities.keys())

    def _resume(self, left: Unfinished) -> None:
        instance = Instance(left.id)
        for episode in left.episodes:
            for happened in json.loads(episode):
                instance.apply(happened)
                instance.remember(happened)
        execution = _Execution(instance, self._orchestrator(instance.name), episodes=len(left.episodes))
        self._live[left.id] = execution
        for task in list(instance.open.values()):
            if isinstance(task, Activity) and task.id in left.running:
                execution.inbox.append(failed(task, "WorkerProcessExitException: the host stopped while it ran"))
            else:
                self._begin(execution, task)
        self._wake(execution)

    def _wake(self, execution: _Execution) -> None:
        if execution.inbox and not execution.driving and not execution.over:
            self._spawn(self._drive(execution))

    async def _drive(self, execution: _Execution) -> None:
        """Run episodes until nothing waits; whoever comes meanwhile finds it being done."""
        if execution.driving:
            return
        execution.driving = True
        try:
            while execution.inbox and not execution.over:
                await self._episode(execution)
        except Exception:
            logger.exception("orchestration %s halts until the next start", execution.instance.id)
            execution.end()
        finally:
            execution.driving = False

    async def _episode(self, execution: _Execution) -> None:
        instance = execution.instance
        waiting, execution.inbox = execution.inbox, []
        arrivals = [each for each in waiting if each["EventType"] == Kind.EXECUTION_STARTED or instance.awaits(each)]
        if not arrivals:
            return
        # Never before a timer's own time: an orchestrator that asks "is it time yet?" must not be told no.
        due = [moment_of(each["FireAt"]) for each in arrivals if each["EventType"] == Kind.TIMER_FIRED]
        now = max(datetime.now(UTC), instance.last, *due)
        episode = EpisodeRunner(instance, execution.orchestrator, now).run(arrivals, execution.outcome)
        execution.outcome = episode.outcome
        for cancelled in episode.cancelled:
            if alarm := execution.alarms.pop(cancelled, None):
                alarm.cancel()
        if episode.final:
            execution.end()
        await self._commit(execution, episode)
        if episode.final:
            self._forget(execution)
        elif not execution.over:
            for task in episode.opened:
                self._begin(execution, task)

    async def _commit(self, execution: _Execution, episode: Episode) -> None:
        instance, updated = execution.instance, episode.events[-1]["Timestamp"]
        for happened in episode.events:
            instance.remember(happened)
        number, execution.episodes = execution.episodes, execution.episodes + 1
        ended = episode.outcome if episode.final else None
        status = ended.status if ended else "Running"
        given = "null" if episode.custom_status is None else encode(episode.custom_status)
        row = Row(instance.id, instance.name, status, encode(instance.input), "null", given, updated, updated)
        change = Change(
            instance=instance.id,
            episode=number,
            events=encode(episode.events),
            status=status,
            output=encode(ended.output if ended else None),
            custom_status=None if episode.custom_status is None else given,
            updated=updated,
            ended=[each["TaskScheduledId"] for each in episode.events if "TaskScheduledId" in each],
            create=row if number == 0 else None,
        )
        await self._hub.write(change)

    def _forget(self, execution: _Execution) -> None:
        if self._live.get(execution.instance.id) is execution:  # purged meanwhile, and perhaps started again
            del self._live[execution.instance.id]

    def _begin(self, execution: _Execution, task: Activity | Timer) -> None:
        if isinstance(task, Activity):
            self._spawn(self._run(execution, task))
            return
        delay = (task.fire_at - datetime.now(UTC)).total_seconds()
        fired = event(Kind.TIMER_FIRED, TimerId=task.id, FireAt=text_of(task.fire_at))
        loop = asyncio.get_running_loop()
        execution.alarms[task.id] = loop.call_later(max(0.0, delay), self._arrived, execution, fired)

    def _arrived(self, execution: _Execution, happened: Event) -> None:
        execution.inbox.append(happened)
        self._wake(execution)

    async def _run(self, execution: _Execution, task: Activity) -> None:
        execution.activities += 1
        async with self._activities.slots:
            if execution.over:
                return
            self._hub.mark_running(execution.instance.id, task.id)
            ended = await self._activities.run(task)
            await asyncio.sleep(0)  # who was woken by what the activity wrote goes first, an episode takes its time
        execution.activities -= 1
        if execution.over:
            return
        execution.inbox.append(ended)
        if execution.activities:
            asyncio.get_running_loop().call_later(_GATHERING_SECONDS, self._wake, execution)
        else:
            await self._drive(execution)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _missing(_: OrchestrationContext) -> str:
    raise LookupError("the orchestrator function doesn't exist any more")
