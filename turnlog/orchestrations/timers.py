"""The timers: the sweep repairs what was interrupted, the purge deletes the histories of ended instances."""

import logging
from datetime import timedelta

import azure.durable_functions as df
from azure.durable_functions import OrchestrationRuntimeStatus

from turnlog.scheduler import DurableDeletionScheduler, DurableTurnScheduler
from turnlog.telemetry.logs import log_failures
from turnlog.wiring import services

_MAX_AGE_DAYS = 30
_ENDED = [
    OrchestrationRuntimeStatus.Completed,
    OrchestrationRuntimeStatus.Failed,
    OrchestrationRuntimeStatus.Terminated,
]

_log = logging.getLogger(__name__)


@log_failures
async def sweep(client: df.DurableOrchestrationClient) -> None:
    """Repair every session that is due, and continue the deletions of projects. Two sweeps at once do no harm."""
    app = services()
    await app.repair.sweep(DurableTurnScheduler(client, app.settings))
    await app.deletions.sweep(DurableDeletionScheduler(client))
    await app.model()  # imported here, so that the first message does not wait for the import


@log_failures
async def clear(client: df.DurableOrchestrationClient) -> None:
    """Clear deleted sessions. If it runs twice, the second run finds what the first has left."""
    app = services()
    await app.clearing.run(DurableTurnScheduler(client, app.settings))


@log_failures
async def purge(client: df.DurableOrchestrationClient) -> None:
    """Purge instances that have ended and are more than a day old, day by day: nothing else deletes them.

    The log keeps the turns. Then delete idle sessions, if SESSION_TTL_DAYS is set. If it runs twice, the second run
    finds nothing.
    """
    now = services().clock.now()
    for age in range(1, _MAX_AGE_DAYS):
        purged = await client.purge_instance_history_by(
            created_time_from=now - timedelta(days=age + 1),
            created_time_to=now - timedelta(days=age),
            runtime_status=_ENDED,
        )
        if purged.instances_deleted:
            _log.info("purged %s ended instances of one day", purged.instances_deleted)
    await services().retention.sweep()
