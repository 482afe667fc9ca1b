"""Timer: forgets instances that ended long ago, which nothing else does; the log is what is kept."""

import logging
from datetime import timedelta

import azure.durable_functions as df
from azure.durable_functions import OrchestrationRuntimeStatus

from shared.telemetry.logs import log_failures
from shared.wiring import services

_KEPT = timedelta(days=1)
_LOOKED_BACK = timedelta(days=30)
_ENDED = [
    OrchestrationRuntimeStatus.Completed,
    OrchestrationRuntimeStatus.Failed,
    OrchestrationRuntimeStatus.Terminated,
]

_log = logging.getLogger(__name__)


@log_failures
async def purge(client: df.DurableOrchestrationClient) -> None:
    """Purge what ended and was created more than a day ago. Run twice, the second finds nothing."""
    now = services().clock.now()
    purged = await client.purge_instance_history_by(
        created_time_from=now - _LOOKED_BACK, created_time_to=now - _KEPT, runtime_status=_ENDED
    )
    if purged.instances_deleted:
        _log.info("purged %s ended instances", purged.instances_deleted)
