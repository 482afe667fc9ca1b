"""Creates the values that tests of pure code need: folded states, and the ids in them."""

from datetime import UTC, datetime
from typing import Any

from turnlog.domain.chunks import Chunk, Draft, sequenced
from turnlog.domain.events import EventData, SessionCreated
from turnlog.domain.fold import fold
from turnlog.domain.ids import MessageId, SessionId, TurnId, WriterId, instance_of
from turnlog.domain.session import ActiveTurn, SessionState
from turnlog.domain.turn import Fence

OWNER = "me"
TRACE = "0" * 32
THEN = datetime(2026, 11, 1, 12, tzinfo=UTC)
SESSION = SessionId("ses_1")
MESSAGE = MessageId("msg_00000000000000000000000001_ses_1")
TURN = TurnId("turn_00000000000000000000000001")
FENCE = Fence(TURN, instance_of(TURN, 1))


def fold_events(
    state: SessionState | None,
    *data: EventData,
    writer: str = "w1",
    message: MessageId | None = MESSAGE,
    turn: TurnId | None = TURN,
    at: datetime = THEN,
) -> SessionState:
    """`state` after `data` in one chunk of `writer`."""
    drafts = [Draft(data=item, turn_id=turn, message_id=message) for item in data]
    head = 0 if state is None else state.head
    folded = fold(state, [Chunk(session_id=SESSION, writer=WriterId(writer), events=sequenced(drafts, head, at))])
    assert folded is not None
    return folded


def new_state(**fields: Any) -> SessionState:
    return fold_events(None, SessionCreated.model_validate({"thread_id": "thread", "owner": OWNER, **fields}))


def active_turn(state: SessionState) -> ActiveTurn:
    assert state.active_turn is not None
    return state.active_turn
