"""The current status of a message: for one that waits or steers, the session's state decides, not its document."""

from turnlog.domain.ids import turn_of
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import Message

_COPIED_FROM_LEAD = (
    "steps",
    "step_count",
    "status",
    "error",
    "agent",
    "model",
    "usage",
    "cost",
    "finish_reason",
    "completed_at",
)


def with_current_status(message: Message, state: SessionState, lead: Message | None = None) -> Message:
    """`message` as it is now. `lead` is the message that it steers, with its steps. Read both after `state`.

    A withdrawal does not rewrite the document: a cancel that clears the queue could not write many large documents in
    its batch. So a document keeps the status `queued`, and the state says whether the message still waits. Only the
    state says that a turn waits for an action, and what it has used until now.
    """
    current = _without_turn(message, state, lead)
    turn = state.active_turn
    if turn is None or turn.turn_id != current.turn_id or current.status != "running":
        return current
    if current.steers is not None and current.message_id in turn.unread:
        return current.model_copy(update={"status": "requires_action"}) if turn.parked else current
    status = "requires_action" if turn.parked else "running"
    return current.model_copy(update={"status": status, "usage": turn.usage, "cost": turn.cost})


def _without_turn(message: Message, state: SessionState, lead: Message | None) -> Message:
    waits_or_steers = message.status == "queued" or message.steers is not None
    if not waits_or_steers or message.sequence > state.head:  # the state is older than the message
        return message
    if message.message_id in state.queue:
        return message.model_copy(update={"status": "queued", "turn_id": turn_of(message.message_id)})
    if lead is not None and _was_read(message, state, lead):
        return message.model_copy(update={name: getattr(lead, name) for name in _COPIED_FROM_LEAD})
    turn = state.active_turn
    if turn is not None and message.message_id in turn.unread:
        return message
    return message.model_copy(update={"status": "withdrawn", "turn_id": turn_of(message.message_id)})


def _was_read(message: Message, state: SessionState, lead: Message) -> bool:
    """Whether a model call has read the message. From then on it shares the lead's answer."""
    turn = state.active_turn
    reading = () if turn is None else turn.reading
    return message.message_id in reading or message.message_id in lead.read
