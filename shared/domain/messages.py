"""What has become of a message: of one that waits or steers the log says it, its document is not written anew."""

from shared.domain.documents import Message
from shared.domain.ids import turn_of
from shared.domain.session import SessionState

_SHARED = ("steps", "status", "error", "agent", "model", "usage", "finish_reason", "completed_at")


def with_current_status(message: Message, state: SessionState, lead: Message | None = None) -> Message:
    """`message` as it is now; `lead` is the one that it steers. Read both after `state`.

    A withdrawal leaves the document as it was: many large ones would not fit into the batch of the cancel that clears
    the queue. So a document says `queued` of what waited once, and the state whether it still does. That a turn waits
    for somebody's action only the state says, too.
    """
    told = _as_told(message, state, lead)
    turn = state.active_turn
    parked = turn is not None and turn.parked and turn.turn_id == told.turn_id
    return told.model_copy(update={"status": "requires_action"}) if parked and told.status == "running" else told


def _as_told(message: Message, state: SessionState, lead: Message | None) -> Message:
    waits_or_steers = message.status == "queued" or message.steers is not None
    if not waits_or_steers or message.sequence > state.head:  # the state is older than the message
        return message
    if message.message_id in state.queue:
        return message.model_copy(update={"status": "queued", "turn_id": turn_of(message.message_id)})
    if lead is not None and _was_read(message, state, lead):
        return message.model_copy(update={name: getattr(lead, name) for name in _SHARED})
    turn = state.active_turn
    if turn is not None and message.message_id in turn.unread:
        return message
    return message.model_copy(update={"status": "withdrawn", "turn_id": turn_of(message.message_id)})


def _was_read(message: Message, state: SessionState, lead: Message) -> bool:
    """Whether a model call has read the message: from then on it shares the answer, for good."""
    turn = state.active_turn
    reading = () if turn is None else turn.reading
    return message.message_id in reading or message.message_id in lead.read
