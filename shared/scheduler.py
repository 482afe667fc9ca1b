"""Starting turns: the only place that knows the Durable Functions client, whose next version renames its methods."""

import logging

import azure.durable_functions as df

from shared.agents.registry import step_limit
from shared.domain.ids import InstanceId
from shared.ports import TurnStart
from shared.settings import Settings

_log = logging.getLogger(__name__)


class DurableTurnScheduler:
    """See `shared.ports.TurnScheduler`. The client is the one bound to the running function."""

    def __init__(self, client: df.DurableOrchestrationClient, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    async def start(self, turn: TurnStart) -> None:
        payload = {
            "session_id": turn.session_id,
            "turn_id": turn.turn_id,
            "instance_id": turn.instance_id,
            "deadline": turn.deadline.isoformat(),
            "max_steps": step_limit(turn.agent, self._settings.max_steps),
            "look_after_seconds": self._settings.timings.look_after.total_seconds(),
            "first_attempt": turn.first_attempt,
            "trace_id": turn.trace_id,
        }
        try:
            await self._client.start_new("run_turn", turn.instance_id, payload)
        except Exception as error:  # noqa: BLE001  # the SDK raises bare Exceptions
            if "OrchestrationAlreadyExistsException" not in str(error):
                # The turn is claimed in the log, and that is what was acknowledged: the sweep starts it.
                _log.warning("instance %s could not be started now: %s", turn.instance_id, error)

    async def exists(self, instance_id: InstanceId) -> bool:
        return (await self._client.get_status(instance_id)).runtime_status is not None
