"""Activity: the turn waits for approvals and for tools that the client runs, and needs no instance meanwhile."""

from typing import Any

from orchestrations.contracts import Reply, Work
from orchestrations.tracing import traced_activity
from shared.wiring import services


@traced_activity
async def park_turn(work: Any) -> dict[str, Any]:
    """Ask for the actions in the log, with which the turn is parked.

    Run twice, the second finds it parked, or taken up again by another instance.
    """
    on, wanted = services(), Work.model_validate(work)
    return Reply(outcome=await on.actions.park(wanted.session_id, wanted.fence)).dump()
