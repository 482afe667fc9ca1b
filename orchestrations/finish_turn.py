"""Activity: the turn's terminal event, and the start of the next one."""

import logging
from typing import Any

import azure.durable_functions as df

from orchestrations.contracts import Reply, Work
from orchestrations.tracing import traced_activity
from shared.domain.faults import fault_domain
from shared.scheduler import DurableTurnScheduler
from shared.services.turns.endings import EndRequest
from shared.wiring import services

_log = logging.getLogger(__name__)


@traced_activity
async def finish_turn(work: Any, client: df.DurableOrchestrationClient) -> dict[str, Any]:
    """End the turn in the log, and start the next waiting message; or let the turn go on with one put into it.

    Run twice, the second finds the turn ended; it starts the next one's instance if the first died before that. One
    that is late finds that the turn has gone on, and leaves it alone.
    """
    on, wanted = services(), Work.model_validate(work)
    has_time = wanted.time_left(on.clock.now()) > 0
    verdict = EndRequest(wanted.ends or "failed", wanted.failure, wanted.goes_on_after, has_time)
    end = await on.endings.end(wanted.session_id, wanted.fence, verdict)
    if wanted.failure is not None:
        code = wanted.failure.code
        _log.warning("turn %s failed: %s, a fault of %s", wanted.turn_id, code, fault_domain(code))
    if end.following is not None:
        await DurableTurnScheduler(client, on.settings).start(end.following)
    return Reply(outcome="goes_on" if end.goes_on else "done").dump()
