"""Waiting for new chunks: a reader misses nothing that is appended after it began to watch."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import pytest

from tests.contract.factories import append_events, chunk, create_session, delta, sequences
from turnlog.domain.chunks import Chunk
from turnlog.domain.events import SessionUpdated
from turnlog.domain.ids import SessionId
from turnlog.domain.session import SessionState
from turnlog.ports import SessionLog, Tail
from turnlog.services.log.stream import follow_events

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("time_limit")]

LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=1)


async def _read(
    log: SessionLog,
    session: SessionId,
    until: int,
    after: int = 0,
    timeout: timedelta = LONG,
) -> list[int]:
    """The sequences that a follower yields, up to `until`."""
    seen: list[int] = []
    following = follow_events(log, session, after, timeout)
    async for events in following:
        seen += [event.sequence for event in events]
        if seen and seen[-1] >= until:
            break
    await following.aclose()
    return seen


@pytest.mark.parametrize("polls", [True, False])
async def test_a_reader_is_woken_by_an_append(log: SessionLog, *, polls: bool) -> None:
    state = await create_session(log)
    with log.watch(state.session_id, polls=polls) as tail:
        waiting = asyncio.create_task(tail.wait(1, LONG))
        await asyncio.sleep(0)

        await append_events(log, state, delta())

        await waiting
    assert sequences(await log.read(state.session_id, 1, 10)) == [2]


async def test_an_append_between_watching_and_waiting_is_not_missed(log: SessionLog) -> None:
    state = await create_session(log)
    with log.watch(state.session_id) as tail:
        assert await log.read(state.session_id, 1, 10) == []
        await append_events(log, state, SessionUpdated(changes={"session_name": "now"}))

        await tail.wait(1, LONG)

        assert sequences(await log.read(state.session_id, 1, 10)) == [2]


async def test_a_wait_ends_after_its_timeout(log: SessionLog) -> None:
    state = await create_session(log)
    with log.watch(state.session_id) as tail:
        assert await tail.wait(1, SHORT) == ()


async def test_cached_chunks_follow_the_cursor_without_a_gap(log: SessionLog) -> None:
    state = await create_session(log)
    with log.watch(state.session_id) as tail:
        for _ in range(100):
            state = await append_events(log, state, delta(), delta())

        waited = {after: await tail.wait(after, LONG) for after in range(201)}

    for after, chunks in waited.items():
        if chunks:
            assert chunks[0].first <= after + 1 <= chunks[0].last
            assert sequences(chunks) == list(range(chunks[0].first, 202))
    assert waited[200]


async def test_chunks_acknowledged_out_of_order_are_not_returned_with_a_hole(log: SessionLog) -> None:
    state = await create_session(log)
    with log.watch(state.session_id) as tail:
        second = chunk(state.session_id, 1, delta())
        third = chunk(state.session_id, 2, delta())
        for appended in (third, second, third):
            await log.append(appended)

        chunks = await tail.wait(1, LONG)

        assert not chunks or sequences(chunks)[0] == 2
        assert sequences(await log.read(state.session_id, 1, 10)) == [2, 3]


async def test_a_chunk_of_another_process_in_between_is_not_skipped(log: SessionLog, elsewhere: SessionLog) -> None:
    state = await create_session(log)
    with log.watch(state.session_id) as tail:
        for process in (log, elsewhere, log):
            state = await append_events(process, state, delta())

        chunks = await tail.wait(1, LONG)

        assert sequences(chunks) in ([], [2], [2, 3, 4])
        assert sequences(await log.read(state.session_id, 1, 10)) == [2, 3, 4]


async def test_a_cancelled_reader_does_not_stop_the_others(log: SessionLog) -> None:
    state = await create_session(log)

    async def wait(tail: Tail[Chunk]) -> Sequence[Chunk]:
        return await tail.wait(1, LONG)

    with log.watch(state.session_id) as first, log.watch(state.session_id, polls=False) as second:
        waiting = [asyncio.create_task(wait(tail)) for tail in (first, second, first)]
        await asyncio.sleep(0.1)
        for cancelled in waiting[:2]:
            cancelled.cancel()
            with suppress(asyncio.CancelledError):
                await cancelled

        await append_events(log, state, delta())

        await waiting[2]


async def test_followers_see_everything_once_from_any_cursor(log: SessionLog) -> None:
    state = await create_session(log)
    for _ in range(5):
        state = await append_events(log, state, delta(), delta(), delta())
    async with asyncio.TaskGroup() as group:
        reading = {
            after: group.create_task(_read(log, state.session_id, 46, after)) for after in (0, 1, 5, 15, 16, 30, 45)
        }
        for _ in range(10):
            state = await append_events(log, state, delta(), delta(), delta())
            await asyncio.sleep(0)

    assert {after: task.result() for after, task in reading.items()} == {
        after: list(range(after + 1, 47)) for after in reading
    }


async def test_many_readers_see_everything_once(log: SessionLog) -> None:
    state = await create_session(log)
    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(_read(log, state.session_id, 21)) for _ in range(100)]
        for _ in range(10):
            state = await append_events(log, state, delta(), delta())

    assert all(task.result() == list(range(1, 22)) for task in reading)


async def test_a_reader_far_behind_catches_up(log: SessionLog) -> None:
    state = await create_session(log)
    slow = follow_events(log, state.session_id, 0, LONG)
    seen = [event.sequence for event in await anext(slow)]
    for _ in range(200):
        state = await append_events(log, state, delta())

    while seen[-1] < 201:
        seen += [event.sequence for event in await anext(slow)]
    await slow.aclose()

    assert seen == list(range(1, 202))


async def test_followers_see_what_another_process_appends(log: SessionLog, elsewhere: SessionLog) -> None:
    state = await create_session(log)
    async with asyncio.TaskGroup() as group:
        timeout = timedelta(milliseconds=100)
        reading = [group.create_task(_read(log, state.session_id, 11, after, timeout)) for after in (0, 1, 4)]
        await asyncio.sleep(0.1)
        await _append_alternately(log, elsewhere, state)

    assert [task.result() for task in reading] == [list(range(after + 1, 12)) for after in (0, 1, 4)]


async def _append_alternately(log: SessionLog, elsewhere: SessionLog, state: SessionState) -> None:
    for number in range(10):
        state = await append_events(elsewhere if number % 3 else log, state, delta())
        await asyncio.sleep(0.01)


@pytest.mark.needs("polling")
async def test_a_reader_is_woken_by_an_append_of_another_process(log: SessionLog, elsewhere: SessionLog) -> None:
    state = await create_session(log)
    with log.watch(state.session_id) as tail:
        waiting = asyncio.create_task(tail.wait(1, LONG))
        ahead = asyncio.create_task(tail.wait(1000, LONG))

        state = await append_events(elsewhere, state, delta(), delta())

        assert sequences(await waiting) == [2, 3]
        assert not ahead.done()
        ahead.cancel()


@pytest.mark.needs("polling")
async def test_when_a_reader_leaves_another_one_polls(log: SessionLog, elsewhere: SessionLog) -> None:
    state = await create_session(log)
    with log.watch(state.session_id) as tail, log.watch(state.session_id, polls=False) as lazy:
        tails = (tail, lazy, tail, tail)
        leaving, late, next_leaving, staying = (asyncio.create_task(each.wait(1, LONG)) for each in tails)
        await asyncio.sleep(0.1)
        # Both at once: the second may have been woken to take over, and is cancelled before it does.
        leaving.cancel()
        next_leaving.cancel()
        await asyncio.sleep(0.1)

        await append_events(elsewhere, state, delta())

        assert sequences(await staying) == [2]
        assert sequences(await late) == [2]


async def test_a_reader_is_not_woken_by_another_session(log: SessionLog) -> None:
    state, other = await create_session(log), await create_session(log)
    with log.watch(state.session_id) as tail:
        await append_events(log, other, delta())

        assert await tail.wait(1, SHORT) == ()
