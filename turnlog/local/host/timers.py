"""Timer triggers: functions on a schedule; two runs of one function never overlap."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from azure.functions.timer import TimerRequest
from croniter import croniter

from turnlog.local.host.functions import TimerFunction

_log = logging.getLogger(__name__)

_MAX_SLEEP = timedelta(days=1)  # a machine's clock may be set, or the machine put to sleep


def next_run(schedule: str, after: datetime) -> datetime:
    """Return the first time of `schedule` after a moment; all times are UTC, as on Azure."""
    return croniter(schedule, after, second_at_beginning=True).get_next(datetime)


class Timers:
    """Runs the functions of `timers` from `start` to `stop`."""

    def __init__(self, timers: Sequence[TimerFunction]) -> None:
        self._timers = timers
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to follow the schedules."""
        self._tasks = [asyncio.create_task(_follow(timer)) for timer in self._timers]

    async def stop(self) -> None:
        """Stop; a function that runs is interrupted."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)


async def _follow(timer: TimerFunction) -> None:
    if timer.run_on_startup:
        await _run(timer)
    while True:
        due = next_run(timer.schedule, datetime.now(UTC))
        while (left := due - datetime.now(UTC)) > timedelta(0):  # noqa: ASYNC110 - only time is awaited
            await asyncio.sleep(min(left, _MAX_SLEEP).total_seconds())
        await _run(timer)


async def _run(timer: TimerFunction) -> None:
    name = timer.function.name
    try:
        returned = await timer.function.call(TimerRequest(past_due=False))
    except Exception:  # noqa: BLE001 - it is the app's; the schedule continues
        _log.exception("function %s failed", name)
    else:
        if returned is not None:
            _log.error("function %s returned a value; on Azure that fails its run", name)
