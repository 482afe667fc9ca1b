"""Sessions, chunks and documents for the suite's tests, and functions that append them."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from turnlog.domain.chunks import Chunk, Draft, sequenced
from turnlog.domain.errors import SequenceTakenError
from turnlog.domain.events import EventData, MessageDelta, RunStart, SessionCreated
from turnlog.domain.fold import fold, needs_checkpoint
from turnlog.domain.ids import MessageId, SessionId, TurnId, WriterId, bound_id, new_writer_id, public_id
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import AnyDocument, Message
from turnlog.ports import SessionLog

THEN = datetime(2026, 11, 1, 12, tzinfo=UTC)
LATER = THEN + timedelta(days=30)
TURN = TurnId("turn_1")
MESSAGE = MessageId("msg_1")
RUN = RunStart(agent="assistant", model="fake")


def session_id() -> SessionId:
    return bound_id("owner", f"ses_{uuid4().hex}")


def delta(text: str = "word") -> MessageDelta:
    return MessageDelta(step=1, attempt=1, text=text)


def chunk(
    session: SessionId, after: int, *data: EventData, writer: WriterId | None = None, at: datetime = THEN
) -> Chunk:
    """A chunk that follows the event `after`, by `writer` or a new one."""
    drafts = [Draft(data=each, turn_id=TURN, message_id=MESSAGE) for each in data]
    return Chunk(session_id=session, writer=writer or new_writer_id(), events=sequenced(drafts, after, at))


async def create_session(
    log: SessionLog, session: SessionId | None = None, *, at: datetime = THEN, **fields: Any
) -> SessionState:
    """Create a session in the log."""
    created = SessionCreated.model_validate({"thread_id": "thread", "owner": "owner", **fields})
    first = chunk(session or session_id(), 0, created, at=at)
    state = fold(None, [first])
    assert state is not None
    await log.append(first, state)
    return state


async def append_events(
    log: SessionLog,
    state: SessionState,
    *data: EventData,
    documents: Sequence[AnyDocument] = (),
    writer: WriterId | None = None,
    at: datetime = THEN,
) -> SessionState:
    """Append `data` to a session that is at `state`; returns the state after it."""
    following = chunk(state.session_id, state.head, *data, writer=writer, at=at)
    after = fold(state, [following])
    assert after is not None
    await log.append(following, after if needs_checkpoint(following) else None, documents)
    return after


async def append_at_end(log: SessionLog, session: SessionId, *data: EventData) -> int:
    """Append `data` at the end of the log, again as often as another writer was first; returns its first sequence."""
    while True:
        state = await log.state(session)
        assert state is not None
        try:
            await append_events(log, state, *data)
        except SequenceTakenError:
            continue
        return state.head + 1


async def read_all(log: SessionLog, session: SessionId, after: int = 0, limit: int = 1000) -> Sequence[Chunk]:
    return await log.read(session, after, limit)


async def collect(states: AsyncGenerator[SessionState]) -> list[SessionState]:
    return [state async for state in states]


def sequences(chunks: Sequence[Chunk]) -> list[int]:
    return [event.sequence for chunk in chunks for event in chunk.events]


def texts(chunks: Sequence[Chunk]) -> list[str]:
    return [event.data.text for chunk in chunks for event in chunk.events if isinstance(event.data, MessageDelta)]


def message(state: SessionState, number: int, sequence: int, **fields: Any) -> Message:
    values: dict[str, Any] = {
        "id": f"msg_{number:026}_{public_id(state.session_id)}",
        "sequence": sequence,
        "session_id": state.session_id,
        "turn_id": TURN,
        "content": "Hello",
        "status": "running",
        "agent": "assistant",
        "model": "fake",
        "created_at": THEN + timedelta(seconds=number),
    }
    return Message(**(values | fields))
