"""Activity: the turn's terminal event, and the start of the next one."""

from typing import Any

import azure.durable_functions as df

from orchestrations.contracts import Reply, Work
from shared.scheduler import DurableTurnScheduler
from shared.services.endings import Verdict
from shared.wiring import services


async def finish_turn(work: Any, client: df.DurableOrchestrationClient) -> dict[str, Any]:
    """End the turn in the log, and start the message that waited longest.

    Run twice, the second finds the turn ended; it starts the next one's instance if the first died before that.
    """
    on, wanted = services(), Work.model_validate(work)
    verdict = Verdict(wanted.ends or "failed", wanted.failure)
    following = await on.endings.end(wanted.session_id, wanted.fence, verdict)
    if following is not None:
        await DurableTurnScheduler(client, on.settings).start(following)
    return Reply(outcome="done").dump()
