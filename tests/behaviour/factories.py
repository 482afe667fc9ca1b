"""Creates what tests of the services need: sessions in a real log, and the inputs of activities."""

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from azure.durable_functions import OrchestrationRuntimeStatus

from tests.domain.factories import OWNER, TRACE, active_turn
from turnlog.domain.chunks import (
    Chunk,
    Event,
)
from turnlog.domain.events import (
    EventData,
)
from turnlog.domain.ids import InstanceId, SessionId, instance_of
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import AnyDocument, Message
from turnlog.domain.turn import Fence
from turnlog.domain.turn_events import turn_drafts
from turnlog.domain.webhooks import Delivery
from turnlog.orchestrations.contracts import Reply, Work
from turnlog.ports import DeletionScheduler, InstanceStatus, TurnScheduler
from turnlog.scheduler import DurableDeletionScheduler, DurableTurnScheduler, TurnStart
from turnlog.services.log.steps import load_steps
from turnlog.services.log.writer import SessionWriter
from turnlog.services.turns.cancelling import CancelRequest
from turnlog.services.turns.endings import EndOutcome, EndRequest
from turnlog.services.turns.submit import NewMessage
from turnlog.wiring import Services


class LostStarts:
    """A scheduler whose starts are lost, as if the process died before each."""

    async def start(self, state: SessionState) -> None:
        pass

    async def deliver(self, delivery: Delivery) -> None:
        pass

    async def status(self, instance_id: InstanceId) -> InstanceStatus:
        return "absent"


LOST_STARTS = LostStarts()


async def create_session(app: Services, **fields: Any) -> SessionId:
    state, _ = await app.sessions.create(OWNER, fields, None, TRACE)
    return state.session_id


async def post_message(app: Services, session: SessionId, content: str = "Hello", **fields: Any) -> Message:
    submission = await app.turns.submit(OWNER, session, NewMessage(content, TRACE, **fields), LOST_STARTS)
    return submission.message


async def cancel_turn(app: Services, message: Message) -> None:
    await app.cancelling.cancel(OWNER, message.session_id, CancelRequest(TRACE, message.turn_id), LOST_STARTS)


async def append_events(
    app: Services, session: SessionId, *data: EventData, documents: Sequence[AnyDocument] = ()
) -> SessionWriter:
    """A new writer, which has appended `data` as events of the active turn."""
    writer = SessionWriter(app.log, app.clock, session)
    await writer.load()
    await writer.append(turn_drafts(active_turn(writer.state), *data), documents)
    return writer


class DurableClient:
    """The durable client as far as turns and deletions need it. It records started instances, and then they exist."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.started: list[dict[str, Any]] = []
        self.known: set[str] = set()
        self.ended: set[str] = set()

    async def start_new(self, name: str, instance_id: str, payload: dict[str, Any]) -> None:
        if self.broken:
            raise RuntimeError("the task hub does not answer")
        if name not in {"run_deletion", "deliver_webhook"}:
            assert (name, payload["instance_id"]) == ("run_turn", instance_id)
        if instance_id not in self.known:
            self.known.add(instance_id)
            self.started.append(payload)

    async def get_status(self, instance_id: str) -> SimpleNamespace:
        status = OrchestrationRuntimeStatus.Running if instance_id in self.known else None
        return SimpleNamespace(
            runtime_status=OrchestrationRuntimeStatus.Failed if instance_id in self.ended else status
        )


def scheduler(app: Services, client: DurableClient) -> TurnScheduler:
    return DurableTurnScheduler(client, app.settings)  # pyright: ignore[reportArgumentType]


def deletion_scheduler(client: DurableClient) -> DeletionScheduler:
    return DurableDeletionScheduler(client)  # pyright: ignore[reportArgumentType]


async def end_turn(
    app: Services, message: Message, request: EndRequest, generation: int = 1
) -> tuple[EndOutcome, TurnStart | None]:
    """End the message's turn; the outcome, and how the next turn was started."""
    client = DurableClient()
    ended = await app.endings.end(message.session_id, fence_of(message, generation), request, scheduler(app, client))
    return ended, TurnStart.model_validate(client.started[0]) if client.started else None


def activity_input(message: Message, **details: Any) -> dict[str, Any]:
    """The input that the orchestrator of the message's turn would give to an activity."""
    given: dict[str, Any] = {
        "session_id": message.session_id,
        "turn_id": message.turn_id,
        "instance_id": instance_of(message.turn_id, 1),
        "deadline": message.created_at + timedelta(minutes=15),
        "step": 1,
        **details,
    }
    return Work.model_validate(given).dump()


def outcome_of(reply: dict[str, Any]) -> str:
    return Reply[str].model_validate(reply).outcome


def fence_of(message: Message, generation: int = 1) -> Fence:
    return Fence(message.turn_id, instance_of(message.turn_id, generation))


async def load_state(app: Services, session: SessionId) -> SessionState:
    state = await app.log.state(session)
    assert state is not None
    return state


async def load_events(app: Services, session: SessionId, event_type: str | None = None) -> list[Event]:
    chunks = list[Chunk]()
    while page := await app.log.read(session, chunks[-1].last if chunks else 0, 1000):
        chunks += page
    return [event for chunk in chunks for event in chunk.events if event_type in {None, event.type}]


async def load_types(app: Services, session: SessionId) -> list[str]:
    return [event.type for event in await load_events(app, session)]


async def load_message(app: Services, message: Message) -> Message:
    """The stored message with its steps."""
    state = await load_state(app, message.session_id)
    found = await app.log.get(Message, message.session_id, message.id)
    assert found is not None
    (found,) = await load_steps(app.log, state, [found])
    return found
