"""Timer triggers: functions on a schedule, each never twice at once."""

import asyncio
import logging
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from azure.functions.timer import TimerRequest

from local.errors import RefusedError
from local.host.index import Timed
from local.host.invoke import Invoker

logger = logging.getLogger(__name__)

_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})")
_FAR = timedelta(days=1)  # sleep no longer at once: a machine's clock may be set, or the machine put to sleep

Next = Callable[[datetime], datetime]


def schedule_of(timed: Timed) -> Next:
    """Return what tells the next occurrence after a moment; all times are UTC, as on Azure.

    Raises:
        RefusedError: the schedule is neither an NCRONTAB expression nor a TimeSpan, or names an unset variable.
    """
    text = timed.schedule
    if text.startswith("%") and text.endswith("%"):
        text = os.environ.get(text.strip("%"), "")
    if span := _TIME_SPAN.fullmatch(text):
        days, hours, minutes, seconds = (int(part or 0) for part in span.groups())
        step = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return lambda moment: moment + step
    return _cron(timed, text)


def _cron(timed: Timed, text: str) -> Next:
    from croniter import croniter  # noqa: PLC0415 - an app without such a schedule does without it

    fields = len(text.split())
    expression = text if fields == 6 else f"0 {text}"
    if fields not in {5, 6} or not croniter.is_valid(expression, second_at_beginning=True):
        raise RefusedError(f"function {timed.function.name}: {timed.schedule!r} is no schedule")
    return lambda moment: croniter(expression, moment, second_at_beginning=True).get_next(datetime)


class Timers:
    """Runs the functions of `timers` from `start` to `stop`."""

    def __init__(self, timers: list[Timed], invoker: Invoker) -> None:
        self._schedules = [(timed, schedule_of(timed)) for timed in timers]
        self._invoker = invoker
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to keep every schedule."""
        self._tasks = [asyncio.create_task(self._keep(timed, following)) for timed, following in self._schedules]

    async def stop(self) -> None:
        """Stop keeping them; a run that is under way is interrupted."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    async def _keep(self, timed: Timed, following: Next) -> None:
        last = datetime.now(UTC)
        if timed.run_on_startup:
            await self._run(timed, last, following(last))
        while True:
            due = following(datetime.now(UTC))
            while (left := due - datetime.now(UTC)) > timedelta(0):  # noqa: ASYNC110 - only time is awaited
                await asyncio.sleep(min(left, _FAR).total_seconds())
            await self._run(timed, last, following(due))
            last = due

    async def _run(self, timed: Timed, last: datetime, following: datetime) -> None:
        times = {"Last": last.isoformat(), "Next": following.isoformat(), "LastUpdated": last.isoformat()}
        request = TimerRequest(past_due=False, schedule_status=times, schedule={"AdjustForDST": True})
        try:
            returned = await self._invoker.call(timed.function, request)
        except Exception:
            logger.exception("function %s failed", timed.function.name)
        else:
            if returned is not None:
                logger.error("function %s returned a value; on Azure that fails its run", timed.function.name)
