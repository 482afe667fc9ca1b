"""Runs activities: as many at once as host.json allows, each ending in the event that its instance is told."""

import asyncio
import logging
import traceback
from collections.abc import Mapping

from local.durable.history import Activity, Event, Kind, event
from local.host.index import Function
from local.host.invoke import Invoker

logger = logging.getLogger(__name__)


class Activities:
    """The registered activities; `slots` of them run at once, the others wait in order."""

    def __init__(self, functions: Mapping[str, Function], invoker: Invoker, slots: int) -> None:
        self.slots = asyncio.Semaphore(slots)
        self._functions = functions
        self._invoker = invoker
        self._closing = False

    def close(self) -> None:
        """Let cancelled activities go without an event: from now on it is the host that cancels them."""
        self._closing = True

    async def run(self, task: Activity) -> Event:
        """Run `task` and return how it ended; its failure is an event, not an exception."""
        function = self._functions.get(task.name)
        if function is None:
            return failed(task, "the function doesn't exist any more")
        try:
            result = await self._invoker.call_activity(function, task.input)
            return event(Kind.TASK_COMPLETED, TaskScheduledId=task.id, Result=result)
        except asyncio.CancelledError as error:
            if self._closing:
                raise
            return failed(task, f"CancelledError: {error}")
        except Exception as error:
            logger.warning("activity %s failed", task.name, exc_info=error)
            return failed(task, f"{type(error).__name__}: {error}", traceback.format_exc())


def failed(task: Activity, reason: str, details: str = "") -> Event:
    """Return the event of a failed activity, worded as the Durable extension words it."""
    text = f"Activity function '{task.name}' failed: {reason}"
    return event(Kind.TASK_FAILED, TaskScheduledId=task.id, Reason=text, Details=details)
