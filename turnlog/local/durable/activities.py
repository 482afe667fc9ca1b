"""Runs activities, as many at once as host.json allows; the end of each is an event for its instance."""

import asyncio
import logging
import traceback
from collections.abc import Mapping

from turnlog.local.durable.history import Activity, Event, Kind, new_event
from turnlog.local.host.functions import Function

_log = logging.getLogger(__name__)


class Activities:
    """The registered activities; `slots` of them run at once, the others wait in order."""

    def __init__(self, functions: Mapping[str, Function], slots: int) -> None:
        self.slots = asyncio.Semaphore(slots)
        self._functions = functions
        self._is_closing = False

    def close(self) -> None:
        """Let cancelled activities end without an event: after this call it is the host that cancels them."""
        self._is_closing = True

    async def run(self, task: Activity) -> Event:
        """Run `task` and return how it ended; its failure is an event, not an exception."""
        function = self._functions.get(task.name)
        if function is None:
            return failure_of(task, "the function doesn't exist any more")
        try:
            result = await function.call_activity(task.input)
            return new_event(Kind.TASK_COMPLETED, TaskScheduledId=task.id, Result=result)
        except asyncio.CancelledError as error:
            if self._is_closing:
                raise
            return failure_of(task, f"CancelledError: {error}")
        except Exception as error:  # noqa: BLE001 - it is the app's; the orchestrator gets it
            _log.warning("activity %s failed", task.name, exc_info=error)
            return failure_of(task, f"{type(error).__name__}: {error}", traceback.format_exc())


def failure_of(task: Activity, reason: str, details: str = "") -> Event:
    """Return the event of a failed activity, worded as the Durable extension words it."""
    text = f"Activity function '{task.name}' failed: {reason}"
    return new_event(Kind.TASK_FAILED, TaskScheduledId=task.id, Reason=text, Details=details)
