"""Reading from a cursor, and the state that the whole log gives."""

from typing import Any

import pytest

from tests.contract.factories import RUN, append_events, create_session, delta, read_all, sequences
from turnlog.domain.chunks import Chunk
from turnlog.domain.events import MessageStart, Outside, SessionUpdated, UserMessage
from turnlog.ports import SessionLog

pytestmark = pytest.mark.anyio


async def test_every_cursor_finds_later_events_even_within_a_chunk(log: SessionLog) -> None:
    state = await create_session(log)
    state = await append_events(log, state, delta("2"), delta("3"), delta("4"))
    state = await append_events(log, state, delta("5"))
    state = await append_events(log, state, delta("6"), delta("7"))

    read = {after: sequences(await read_all(log, state.session_id, after)) for after in range(9)}

    assert read == {
        0: [1, 2, 3, 4, 5, 6, 7],
        1: [2, 3, 4, 5, 6, 7],
        2: [2, 3, 4, 5, 6, 7],
        3: [2, 3, 4, 5, 6, 7],
        4: [5, 6, 7],
        5: [6, 7],
        6: [6, 7],
        7: [],
        8: [],
    }


async def test_a_limit_counts_chunks_from_the_cursor(log: SessionLog) -> None:
    state = await create_session(log)
    for _ in range(5):
        state = await append_events(log, state, delta(), delta())

    assert sequences(await log.read(state.session_id, 0, 2)) == [1, 2, 3]
    assert sequences(await log.read(state.session_id, 4, 2)) == [4, 5, 6, 7]


async def test_more_chunks_than_fit_in_one_response_come_in_order(log: SessionLog) -> None:
    state = await create_session(log)
    for number in range(1, 131):
        state = await append_events(log, state, delta(str(number)))

    assert sequences(await read_all(log, state.session_id)) == list(range(1, 132))


async def test_a_window_is_read_from_either_end(log: SessionLog) -> None:
    state = await create_session(log)
    for _ in range(4):
        state = await append_events(log, state, delta(), delta())

    async def read(after: int, before: int | None, limit: int, *, newest: bool) -> list[int]:
        return sequences(await log.read(state.session_id, after, limit, before=before, newest=newest))

    assert await read(0, None, 2, newest=True) == [6, 7, 8, 9]
    assert await read(0, 9, 2, newest=True) == [6, 7, 8, 9]
    assert await read(0, 8, 2, newest=True) == [4, 5, 6, 7]
    assert await read(4, 8, 9, newest=True) == [4, 5, 6, 7]
    assert await read(5, 8, 9, newest=True) == [6, 7]
    assert await read(0, 2, 9, newest=True) == [1]
    assert await read(0, 1, 9, newest=True) == []
    assert await read(9, None, 9, newest=True) == []
    assert await read(1, 5, 9, newest=False) == [2, 3, 4, 5]
    assert await read(1, 5, 1, newest=False) == [2, 3]


async def test_chunks_of_deltas_alone_can_be_skipped(log: SessionLog) -> None:
    state = await create_session(log)
    for number in range(1, 4):
        state = await append_events(log, state, MessageStart(step=1, attempt=number))
        for _ in range(5):
            state = await append_events(log, state, delta(), delta())
        state = await append_events(log, state, delta(), Outside(event_type="x"))

    async def found(after: int, limit: int, **window: Any) -> list[int]:
        return [chunk.first for chunk in await log.read(state.session_id, after, limit, skip_deltas=True, **window)]

    assert await found(0, 99) == [1, 2, 13, 15, 26, 28, 39]
    assert await found(0, 2) == [1, 2]
    assert await found(2, 99, before=39) == [13, 15, 26, 28]
    assert await found(13, 1) == [13]
    assert await found(0, 2, newest=True) == [28, 39]
    assert await found(0, 2, before=28, newest=True) == [15, 26]
    assert await found(40, 99) == []


async def test_the_newest_chunks_with_an_event_of_a_type_are_found(log: SessionLog) -> None:
    state = await create_session(log)
    for number in range(4):
        state = await append_events(log, state, delta(), MessageStart(step=1, attempt=number + 1))
        state = await append_events(log, state, delta(), delta(), Outside(event_type="message", fields={}))

    async def found(event_type: str, limit: int) -> list[int]:
        return [chunk.last for chunk in await log.newest_of_type(state.session_id, event_type, limit)]

    assert await found("message.start", 2) == [13, 18]
    assert await found("message.start", 10) == [3, 8, 13, 18]
    assert await found("message", 1) == [21]
    assert await found("session.created", 10) == [1]
    assert await found("start", 10) == []


async def test_a_checkpoint_is_folded_with_the_later_chunks(log: SessionLog) -> None:
    state = await create_session(log)
    state = await append_events(log, state, UserMessage(content="Hello"), RUN)
    for number in range(1, 4):
        state = await append_events(log, state, MessageStart(step=1, attempt=number))
        state = await append_events(log, state, delta(), delta())

    assert await log.state(state.session_id) == state
    assert state.active_turn is not None
    assert state.active_turn.call is not None
    assert state.active_turn.call.number == 3


async def test_a_log_holds_nothing_of_another_session(log: SessionLog) -> None:
    one, other = await create_session(log), await create_session(log)
    await append_events(log, one, delta("one"))
    await append_events(log, other, SessionUpdated(changes={"session_name": "other"}))

    assert {each.session_id for each in await read_all(log, one.session_id)} == {one.session_id}
    assert await log.state(one.session_id) != await log.state(other.session_id)


async def test_another_process_reads_what_was_appended(log: SessionLog, elsewhere: SessionLog) -> None:
    state = await create_session(log)

    state = await append_events(elsewhere, state, SessionUpdated(changes={"session_name": "from elsewhere"}))

    assert await log.state(state.session_id) == state
    assert sequences(await read_all(log, state.session_id)) == [1, 2]


async def test_a_store_that_answers_passes_its_check(log: SessionLog) -> None:
    await log.check()


async def test_the_state_reads_the_same_chunks_however_long_the_answer_is(
    log: SessionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = await append_events(log, await create_session(log), UserMessage(content="hi"), RUN)
    state = await append_events(log, state, MessageStart(step=1, attempt=1))
    read = 0
    construct = Chunk.model_construct

    def count(**fields: Any) -> Chunk:
        nonlocal read
        read += 1
        return construct(**fields)

    counts: list[int] = []
    for chunks in (10, 90):
        for _ in range(chunks):
            state = await append_events(log, state, delta(), delta())
        monkeypatch.setattr(Chunk, "model_construct", count)
        read = 0
        assert await log.state(state.session_id) == state
        counts.append(read)
        monkeypatch.undo()

    assert counts[0] == counts[1] <= 2
