"""What runs turns and deletions: the schedulers of their instances, and the clock."""

from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from turnlog.domain.deletion import Deletion
from turnlog.domain.ids import InstanceId, ProjectId
from turnlog.domain.session import SessionState
from turnlog.domain.webhooks import Delivery

InstanceStatus: TypeAlias = Literal["absent", "active", "ended"]
"""`active`: it runs, or waits in a queue of the platform."""


class TurnScheduler(Protocol):
    """Starts the Durable instances that run turns."""

    async def start(self, state: SessionState) -> None:
        """Start the instance that is to run the active turn. Nothing happens if it was started before.

        A start that fails is logged and left to the sweep: the claim in the log is what was acknowledged.
        """
        ...

    async def deliver(self, delivery: Delivery) -> None:
        """Start the instance that delivers an event to a webhook, unless it was started before.

        A start that fails raises: nothing else would start it. The caller is repeated.
        """
        ...

    async def status(self, instance_id: InstanceId) -> InstanceStatus: ...


class DeletionScheduler(Protocol):
    """Starts the Durable instances that delete the sessions of projects."""

    async def start(self, project_id: ProjectId, deletion: Deletion) -> None:
        """Start the instance that carries out the deletion now. Nothing happens if it was started before.

        A start that fails is logged and left to the sweep.
        """
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """The current time, in UTC."""
        ...
