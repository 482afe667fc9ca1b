"""Attempts: start activities, look after them, try again what died. The orchestrator numbers them."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import azure.durable_functions as df
from azure.durable_functions.models.Task import TaskBase, TimerTask

from orchestrations.contracts import ActivityName, LookInput, LookReply, Reply, TurnInput, Work
from shared.domain.values import Failure

MAX_FAILURES = 3
_UNBEGUN_LOOKS = 2


@dataclass
class _Job:
    """One activity under supervision."""

    name: ActivityName
    work: Work
    task: TaskBase
    failures: int = 0
    unbegun: int = 0
    reply: Reply | None = None


class _Supervision:
    """Races activities against a timer; when that fires, `look` says which of them live.

    Every wait is on tasks whose loss is noticed: a `look` that never comes back is replaced when the timer fires again.
    """

    def __init__(self, context: df.DurableOrchestrationContext, turn: TurnInput) -> None:
        self._context = context
        self._turn = turn
        self._timer: TimerTask | None = None
        self._look: TaskBase | None = None
        self._looked_at: list[tuple[_Job, int]] = []

    def run(self, name: ActivityName, works: Sequence[Work]) -> Generator[Any, Any, list[Reply]]:
        jobs = [_Job(name, work, self._context.call_activity(name, work.dump())) for work in works]
        while open_jobs := [job for job in jobs if job.reply is None]:
            timer = self._ticking()
            look = [] if self._look is None else [self._look]
            yield self._context.task_any([*(job.task for job in open_jobs), *look, timer])
            for job in open_jobs:
                if job.task.is_completed:
                    self._settle(job)
            if self._look is not None and self._look.is_completed:
                self._judge(self._look.result)
            if timer.is_completed:
                self._look_at([job for job in open_jobs if job.reply is None])
        if self._timer is not None:
            self._timer.cancel()
        return [job.reply for job in jobs if job.reply is not None]

    def _ticking(self) -> TimerTask:
        if self._timer is None:
            pause = timedelta(seconds=self._turn.look_after_seconds)
            timer = self._context.create_timer(self._context.current_utc_datetime + pause)
            self._timer = cast("TimerTask", timer)
        return self._timer

    def _settle(self, job: _Job) -> None:
        # A failed task's result is the exception: task_any raises nothing.
        result = job.task.result
        if isinstance(result, Exception):
            failure = Failure(code="attempt_failed", message="The attempt broke off.", retryable=True)
            self._fail(job, failure)
            return
        reply = Reply.model_validate(result)
        if reply.outcome == "again":
            self._fail(job, reply.failure or Failure(code="attempt_failed", message="The attempt failed."))
        else:
            job.reply = reply

    def _fail(self, job: _Job, failure: Failure) -> None:
        job.failures += 1
        if job.failures >= MAX_FAILURES:
            job.reply = Reply(outcome="failed", failure=failure)
        else:
            self._try_again(job, failure.code)

    def _try_again(self, job: _Job, after: str | None = None) -> None:
        job.unbegun = 0
        job.work = job.work.model_copy(update={"attempt": job.work.attempt + 1, "after": after})
        job.task = self._context.call_activity(job.name, job.work.dump())

    def _look_at(self, jobs: list[_Job]) -> None:
        self._timer = None
        if self._is_overdue():
            failure = Failure(code="turn_timeout", message="The turn took longer than it may.", retryable=True)
            for job in jobs:
                job.reply = Reply(outcome="failed", failure=failure)
        elif jobs:
            self._looked_at = [(job, job.work.attempt) for job in jobs]
            self._look = self._context.call_activity("look", LookInput(work=[job.work for job in jobs]).dump())

    def _judge(self, result: Any) -> None:
        self._look = None
        if isinstance(result, Exception):
            return
        for (job, attempt), verdict in zip(self._looked_at, LookReply.model_validate(result).verdicts, strict=True):
            # Of an attempt that ended since, and of one that took its place, this look knows nothing.
            if job.reply is not None or job.task.is_completed or job.work.attempt != attempt:
                continue
            job.unbegun = job.unbegun + 1 if verdict == "unbegun" else 0
            if verdict == "dead":
                failure = Failure(code="attempt_lost", message="The attempt fell silent.", retryable=True)
                self._fail(job, failure)
            elif job.unbegun >= _UNBEGUN_LOOKS:
                # It may only be queued, so it doesn't count as a failure; the log lets just one of both begin.
                self._try_again(job)

    def _is_overdue(self) -> bool:
        grace = timedelta(seconds=self._turn.look_after_seconds)
        return self._context.current_utc_datetime > self._turn.deadline + grace


def supervised(
    context: df.DurableOrchestrationContext, turn: TurnInput, name: ActivityName, works: Sequence[Work]
) -> Generator[Any, Any, list[Reply]]:
    """Run activities side by side until each has a reply; one that fails three times has `failed`.

    An attempt that was looked at between its end and the arrival of its reply may be judged dead: the next one then
    finds everything recorded and gives the same reply.
    """
    return (yield from _Supervision(context, turn).run(name, works))
