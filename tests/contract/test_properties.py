"""Properties of every log: a fold may stop anywhere, and a reader may resume anywhere."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.factories import append_at_end, create_session, delta, read_all, sequences, texts
from tests.contract.strategies import GENERATED, logs, upto
from turnlog.domain.chunks import Chunk
from turnlog.domain.events import EVENT_TYPES
from turnlog.domain.fold import fold, needs_checkpoint
from turnlog.domain.ids import SessionId
from turnlog.domain.session import SessionState
from turnlog.ports import SessionLog

# All examples of a test use one log, each with its own session.
on_a_store = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _in_new_session(chunks: Sequence[Chunk]) -> list[Chunk]:
    session = SessionId(f"ses_{uuid4().hex}")
    return [chunk.model_copy(update={"session_id": session}) for chunk in chunks]


async def _append_all(log: SessionLog, chunks: Sequence[Chunk]) -> SessionState:
    state = None
    for chunk in chunks:
        state = fold(state, [chunk])
        await log.append(chunk, state if needs_checkpoint(chunk) else None)
    assert state is not None
    return state


def test_every_event_type_is_generated() -> None:
    assert set(EVENT_TYPES) == GENERATED


@settings(deadline=None)
@given(logs(), st.data())
def test_folding_all_is_folding_a_checkpoint_and_then_the_rest(chunks: Sequence[Chunk], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, chunks[-1].last))

    checkpoint = fold(None, upto(chunks, cut))
    assert checkpoint is not None
    stored = SessionState.model_validate_json(checkpoint.model_dump_json(exclude_none=True))

    assert checkpoint.head == cut
    assert stored == checkpoint
    assert fold(stored, chunks) == fold(None, chunks)


@pytest.mark.anyio
@on_a_store
@given(chunks=logs(max_events=15))
async def test_a_log_and_its_state_come_back_as_they_were_appended(log: SessionLog, chunks: Sequence[Chunk]) -> None:
    chunks = _in_new_session(chunks)
    state = await _append_all(log, chunks)

    assert await read_all(log, state.session_id) == chunks
    assert await log.state(state.session_id) == state


@pytest.mark.anyio
@on_a_store
@given(chunks=logs(max_events=15), start=st.integers(0, 20), limits=st.lists(st.integers(1, 3), min_size=1, max_size=5))
async def test_pages_from_any_cursor_lose_and_repeat_nothing(
    log: SessionLog, chunks: Sequence[Chunk], start: int, limits: Sequence[int]
) -> None:
    chunks = _in_new_session(chunks)
    await _append_all(log, chunks)

    read: list[int] = []
    after = start
    while page := await log.read(chunks[0].session_id, after, limits[len(read) % len(limits)]):
        read += [sequence for sequence in sequences(page) if sequence > after]
        after = page[-1].last

    assert read == list(range(start + 1, chunks[-1].last + 1))


@pytest.mark.anyio
@on_a_store
@given(words=st.lists(st.integers(0, 2), min_size=1, max_size=10))
async def test_interleaved_writers_leave_no_gap(log: SessionLog, words: Sequence[int]) -> None:
    state = await create_session(log)

    async def write(writer: int) -> None:
        for number in range(words.count(writer)):
            await append_at_end(log, state.session_id, delta(f"{writer}.{number}"))

    await asyncio.gather(*(write(writer) for writer in range(3)))

    chunks = await read_all(log, state.session_id)
    assert sequences(chunks) == list(range(1, len(words) + 2))
    for writer in range(3):
        own = [text for text in texts(chunks) if text.startswith(f"{writer}.")]
        assert own == [f"{writer}.{number}" for number in range(words.count(writer))]
