"""The orchestrator that deletes the sessions of a deleted project, page by page."""

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df

from turnlog.orchestrations.contracts import DeletionReply, DeletionWork
from turnlog.scheduler import DeletionStart

MAX_PAGES = 100
"""So many pages an instance deletes. Then the next instance is started, so that no history grows without bound."""


def run_deletion(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    """Delete page after page until none is left, or until the next instance takes over.

    If a page is interrupted, this instance ends. The project stores how far the deletion is, and the sweep starts the
    instance that continues.
    """
    # There is no retry here: the sweep has to continue lost instances in any case, and it waits longer each time.
    start = DeletionStart.model_validate(context.get_input())
    reply = DeletionReply(outcome="superseded")
    for number in range(1, MAX_PAGES + 1):
        is_last = number == MAX_PAGES
        work = DeletionWork(project_id=start.project_id, generation=start.generation, is_last=is_last)
        try:
            reply = DeletionReply.model_validate((yield context.call_activity("delete_sessions", work.dump())))
        except Exception:  # noqa: BLE001  # the SDK raises bare Exceptions: the activity's process was killed
            return DeletionReply(outcome="unavailable").dump()
        if reply.outcome != "more":
            break
    return reply.dump()
