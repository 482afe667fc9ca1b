"""Attempts: start activities, check that they are alive, and retry those that failed or were lost."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, cast

import azure.durable_functions as df
from azure.durable_functions.models.Task import TaskBase, TimerTask

from orchestrations.contracts import Activity, LookInput, LookReply, Next, Outcome, Reply, Work
from shared.domain.values import Failure
from shared.scheduler import TurnStart
from shared.services.turns.attempts import AttemptStatus

MAX_FAILURES = 3
_MAX_NOT_BEGUN = 2

_BROKE_OFF = Failure(code="attempt_failed", message="The attempt broke off.", retryable=True)
_LOST = Failure(code="attempt_lost", message="The attempt stopped responding.", retryable=True)
_OVERDUE = Failure(code="turn_timeout", message="The turn exceeded its time limit.", retryable=True)


@dataclass
class _Job(Generic[Outcome]):
    """One supervised activity. `not_begun` counts the checks in a row that found its attempt not begun."""

    work: Work
    task: TaskBase
    failures: int = 0
    not_begun: int = 0
    reply: Reply[Outcome] | None = None


class _Supervision(Generic[Outcome]):
    """Waits for activities and for a timer; when the timer fires, the activity `look` checks the attempts.

    Each wait includes the timer, so every loss is noticed. A `look` that never returns is replaced when the timer
    fires again. The orchestrator numbers the attempts.
    """

    def __init__(self, context: df.DurableOrchestrationContext, turn: TurnStart, activity: Activity[Outcome]) -> None:
        self._context = context
        self._turn = turn
        self._activity = activity
        self._timer: TimerTask | None = None
        self._look: TaskBase | None = None
        self._checked: list[tuple[_Job[Outcome], int]] = []

    def run(self, works: Sequence[Work]) -> Generator[Any, Any, list[Reply[Outcome]]]:
        jobs = [_Job[Outcome](work, self._call(work)) for work in works]
        while open_jobs := [job for job in jobs if job.reply is None]:
            timer = self._ensure_timer()
            look = [] if self._look is None else [self._look]
            yield self._context.task_any([*(job.task for job in open_jobs), *look, timer])
            for job in open_jobs:
                if job.task.is_completed:
                    self._apply_result(job)
            if self._look is not None and self._look.is_completed:
                self._apply_statuses(self._look.result)
            if timer.is_completed:
                self._check([job for job in open_jobs if job.reply is None])
        if self._timer is not None:
            self._timer.cancel()
        return [job.reply for job in jobs if job.reply is not None]

    def _call(self, work: Work) -> TaskBase:
        return self._context.call_activity(self._activity.name, work.dump())

    def _ensure_timer(self) -> TimerTask:
        if self._timer is None:
            pause = timedelta(seconds=self._turn.check_after_seconds)
            timer = self._context.create_timer(self._context.current_utc_datetime + pause)
            self._timer = cast("TimerTask", timer)
        return self._timer

    def _apply_result(self, job: _Job[Outcome]) -> None:
        # The result of a failed task is the exception: task_any raises nothing.
        result = job.task.result
        if isinstance(result, Exception):
            self._fail(job, _BROKE_OFF)
            return
        reply = self._activity.reply.model_validate(result)
        if self._activity.next[reply.outcome] is Next.RETRY:
            job.work = job.work.model_copy(update={"calls_before": (job.work.calls_before or 0) + (reply.calls or 0)})
            self._retry(job, None if reply.failure is None else reply.failure.code)
        else:
            job.reply = reply

    def _fail(self, job: _Job[Outcome], failure: Failure) -> None:
        job.failures += 1
        if job.failures >= MAX_FAILURES:
            job.reply = _failed(failure)
        else:
            self._retry(job, failure.code)

    def _retry(self, job: _Job[Outcome], after: str | None = None) -> None:
        job.not_begun = 0
        job.work = job.work.model_copy(update={"attempt": job.work.attempt + 1, "after": after})
        job.task = self._call(job.work)

    def _check(self, jobs: list[_Job[Outcome]]) -> None:
        self._timer = None
        if self._is_overdue():
            for job in jobs:
                job.reply = _failed(_OVERDUE)
        elif jobs:
            self._checked = [(job, job.work.attempt) for job in jobs]
            self._look = self._context.call_activity("look", LookInput(work=[job.work for job in jobs]).dump())

    def _apply_statuses(self, result: Any) -> None:
        self._look = None
        if isinstance(result, Exception):
            return
        for (job, attempt), status in zip(self._checked, LookReply.model_validate(result).statuses, strict=True):
            # The status does not apply if the attempt has ended since, or another attempt has replaced it.
            if job.reply is None and not job.task.is_completed and job.work.attempt == attempt:
                self._apply(status, job)

    def _apply(self, status: AttemptStatus, job: _Job[Outcome]) -> None:
        job.not_begun = job.not_begun + 1 if status == "not_begun" else 0
        if status == "lost":
            self._fail(job, _LOST)
        elif job.not_begun >= _MAX_NOT_BEGUN:
            # The activity may still be queued, so this is not a failure. The log lets only one attempt begin.
            self._retry(job)

    def _is_overdue(self) -> bool:
        grace = timedelta(seconds=self._turn.check_after_seconds)
        return self._context.current_utc_datetime > self._turn.deadline + grace


def _failed(failure: Failure) -> Reply[Any]:
    return Reply[Any](outcome="failed", failure=failure)


def run_supervised(
    context: df.DurableOrchestrationContext, turn: TurnStart, activity: Activity[Outcome], works: Sequence[Work]
) -> Generator[Any, Any, list[Reply[Outcome]]]:
    """Run activities at the same time until each has a reply. After three failures of one, its reply is `failed`.

    If an attempt has ended and its reply has not arrived, `look` may report it as lost. The next attempt then finds
    everything recorded and gives the same reply.
    """
    return (yield from _Supervision(context, turn, activity).run(works))
