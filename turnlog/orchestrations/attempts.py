"""Attempts: start activities, number their attempts, and retry those that failed on the platform."""

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic

import azure.durable_functions as df
from azure.durable_functions.models.Task import TaskBase

from turnlog.domain.values import Failure
from turnlog.orchestrations.contracts import Activity, Next, Outcome, Reply, Work
from turnlog.scheduler import TurnStart

MAX_ERRORS = 3
"""So many attempts may end with an error of the program itself."""

_BROKEN = Failure(code="attempt_failed", message="The attempt failed with an internal error.", retryable=True)
_LOST = Failure(code="turn_lost", message="The platform did not carry out the turn until its deadline.", retryable=True)


@dataclass
class _Job(Generic[Outcome]):
    """One activity with its newest attempt, or the pause before it."""

    work: Work
    task: TaskBase
    is_pause: bool = False
    interruptions: int = 0
    errors: int = 0
    reply: Reply[Outcome] | None = None


class _Attempts(Generic[Outcome]):
    """Runs activities until each has a reply.

    There is no timer beside a running activity. If an attempt is lost without an end, the sweep gives the turn to
    another instance.
    """

    def __init__(self, context: df.DurableOrchestrationContext, turn: TurnStart, activity: Activity[Outcome]) -> None:
        self._context = context
        self._turn = turn
        self._activity = activity

    def run(self, works: Sequence[Work]) -> Generator[Any, Any, list[Reply[Outcome]]]:
        jobs = [_Job[Outcome](work, self._call(work)) for work in works]
        while open_jobs := [job for job in jobs if job.reply is None]:
            yield self._context.task_any([job.task for job in open_jobs])
            for job in open_jobs:
                if job.task.is_completed:
                    self._advance(job)
        return [job.reply for job in jobs if job.reply is not None]

    def _call(self, work: Work) -> TaskBase:
        return self._context.call_activity(self._activity.name, work.dump())

    def _advance(self, job: _Job[Outcome]) -> None:
        if job.is_pause:
            job.is_pause = False
            job.task = self._call(job.work)
            return
        # The result of a failed task is the exception: task_any raises nothing.
        result = job.task.result
        if isinstance(result, Exception):
            self._pause(job, "attempt_lost")
            return
        reply = self._activity.reply.model_validate(result)
        match self._activity.next_after(reply.outcome):
            case Next.RETRY:
                calls = (job.work.calls_before or 0) + (reply.calls or 0)
                job.work = _next_attempt(job.work, reply.failure and reply.failure.code, calls_before=calls)
                job.task = self._call(job.work)
            case Next.RETRY_LATER:
                self._pause(job, "store_unavailable")
            case Next.RETRY_AFTER_ERROR:
                job.errors += 1
                if job.errors < MAX_ERRORS:
                    self._pause(job, _BROKEN.code)
                else:
                    job.reply = _failed(_BROKEN)
            case _:
                job.reply = reply

    def _pause(self, job: _Job[Outcome], after: str) -> None:
        """Wait before the next attempt: longer each time, but at most half of the time that the turn has left."""
        now = self._context.current_utc_datetime
        seconds_left = (self._turn.deadline + self._activity.grace - now).total_seconds()
        longest = min(self._turn.retry_seconds * 2**job.interruptions, self._turn.max_retry_seconds, seconds_left / 2)
        job.interruptions += 1
        job.work = _next_attempt(job.work, after)
        # Seeded, because every replay must compute the same pause.
        jitter = random.Random(f"{job.work.instance_id} {job.work.call_id} {job.interruptions}").uniform(0.5, 1)  # noqa: S311
        if seconds_left < self._turn.retry_seconds:
            job.reply = _failed(_LOST)
            return
        job.is_pause = True
        job.task = self._context.create_timer(now + timedelta(seconds=longest * jitter))


def _next_attempt(work: Work, after: str | None, **changes: Any) -> Work:
    return work.model_copy(update={"attempt": work.attempt + 1, "after": after, **changes})


def _failed(failure: Failure) -> Reply[Any]:
    return Reply[Any](outcome="failed", failure=failure)


def run_attempts(
    context: df.DurableOrchestrationContext, turn: TurnStart, activity: Activity[Outcome], works: Sequence[Work]
) -> Generator[Any, Any, list[Reply[Outcome]]]:
    """Run activities at the same time until each has a reply.

    An attempt that fails on the platform (its process was killed, or the store was not available) is retried until the
    turn's deadline, however often. After three errors of the program itself, the reply is `failed`.
    """
    return (yield from _Attempts(context, turn, activity).run(works))
