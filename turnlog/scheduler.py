"""Starting instances: what each is given, and the only use of the Durable Functions client that starts it.

The next version of that client renames its methods.
"""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
from pydantic import AwareDatetime, BaseModel, ConfigDict

from turnlog.agents.registry import step_limit
from turnlog.domain.deletion import Deletion
from turnlog.domain.ids import InstanceId, ProjectId, SessionId, TurnId, deletion_instance
from turnlog.domain.session import ActiveTurn, SessionState
from turnlog.domain.webhooks import Delivery
from turnlog.ports import InstanceStatus
from turnlog.settings import Settings

_ENDED = frozenset(
    {
        df.OrchestrationRuntimeStatus.Completed,
        df.OrchestrationRuntimeStatus.Failed,
        df.OrchestrationRuntimeStatus.Canceled,
        df.OrchestrationRuntimeStatus.Terminated,
    }
)

_log = logging.getLogger(__name__)
_starting: set[asyncio.Task[None]] = set()  # a task that nothing refers to may be collected while it runs


class Payload(BaseModel):
    """A value that lives in orchestration histories: ids and limits, never texts.

    Histories outlive deployments: add optional fields, never rename or remove one.
    """

    model_config = ConfigDict(frozen=True)

    def dump(self) -> dict[str, Any]:
        """The value as JSON."""
        return self.model_dump(mode="json", exclude_none=True)


class TurnStart(Payload):
    """The input of `run_turn`. Everything that `run_turn` branches on is here or in an activity's reply.

    `first_attempt` is higher than the number of every attempt that an earlier instance may have begun. `retry_seconds`
    is the pause after an attempt that failed on the platform; it doubles up to `max_retry_seconds`. `trace_id` is the
    trace of the request that posted the turn's message.
    """

    session_id: SessionId
    turn_id: TurnId
    instance_id: InstanceId
    deadline: AwareDatetime
    max_steps: int
    retry_seconds: float
    max_retry_seconds: float
    first_attempt: int = 1
    trace_id: str | None = None


def turn_start(session_id: SessionId, turn: ActiveTurn, settings: Settings) -> TurnStart:
    """The start of the instance that is to run `turn` now."""
    return TurnStart(
        session_id=session_id,
        turn_id=turn.turn_id,
        instance_id=turn.instance_id,
        # Not since the turn's start: the time that it was parked does not count.
        deadline=turn.running_since + timedelta(seconds=settings.turn_timeout_seconds),
        max_steps=step_limit(turn.agent, settings.max_steps),
        retry_seconds=settings.timings.retry_pause.total_seconds(),
        max_retry_seconds=settings.timings.max_retry_pause.total_seconds(),
        first_attempt=turn.first_attempt,
        trace_id=turn.trace_id,
    )


class WebhookStart(Payload):
    """The input of `deliver_webhook`. `pauses` are the seconds between its attempts."""

    delivery: Delivery
    pauses: tuple[float, ...]


class DeletionStart(Payload):
    """The input of `run_deletion`."""

    project_id: ProjectId
    generation: int


class DurableTurnScheduler:
    """Implements `turnlog.ports.TurnScheduler`. The client is the one bound to the running function.

    With `waits=False`, `start` returns before the platform has answered, so that a stream shows the message at once.
    The caller has to stay for longer: what a function leaves behind at its end may not run.
    """

    def __init__(self, client: df.DurableOrchestrationClient, settings: Settings, *, waits: bool = True) -> None:
        self._client = client
        self._settings = settings
        self._waits = waits

    async def start(self, state: SessionState) -> None:
        if state.active_turn is not None:
            # The turn is claimed in the log, and that claim was acknowledged: the sweep starts what is not started now.
            start = turn_start(state.session_id, state.active_turn, self._settings)
            starting = _start(self._client, "run_turn", start.instance_id, start)
            await (starting if self._waits else _in_background(starting))

    async def deliver(self, delivery: Delivery) -> None:
        # An ended instance would begin again.
        if await self.status(delivery.instance_id) == "absent":
            start = WebhookStart(delivery=delivery, pauses=self._settings.timings.webhook_pauses)
            await _start_or_raise(self._client, "deliver_webhook", delivery.instance_id, start)

    async def status(self, instance_id: InstanceId) -> InstanceStatus:
        status = (await self._client.get_status(instance_id)).runtime_status
        if status is None:
            return "absent"
        return "ended" if status in _ENDED else "active"


class DurableDeletionScheduler:
    """Implements `turnlog.ports.DeletionScheduler`. The client is the one bound to the running function."""

    def __init__(self, client: df.DurableOrchestrationClient) -> None:
        self._client = client

    async def start(self, project_id: ProjectId, deletion: Deletion) -> None:
        start = DeletionStart(project_id=project_id, generation=deletion.generation)
        await _start(self._client, "run_deletion", deletion_instance(project_id, deletion.generation), start)


async def _in_background(starting: Coroutine[None, None, None]) -> None:
    task = asyncio.create_task(starting)
    _starting.add(task)
    task.add_done_callback(_starting.discard)


async def _start(client: df.DurableOrchestrationClient, name: str, instance_id: InstanceId, start: Payload) -> None:
    """Start an instance, unless it runs. If that fails, the sweep starts one."""
    try:
        await _start_or_raise(client, name, instance_id, start)
    except Exception as error:  # noqa: BLE001  # the SDK raises bare Exceptions
        _log.warning("instance %s could not be started now: %s", instance_id, error)


async def _start_or_raise(
    client: df.DurableOrchestrationClient, name: str, instance_id: InstanceId, start: Payload
) -> None:
    """Start an instance, unless it runs."""
    try:
        await client.start_new(name, instance_id, start.dump())
    except Exception as error:
        if "OrchestrationAlreadyExistsException" not in str(error):
            raise
