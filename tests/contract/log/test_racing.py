"""Writers that race: the log has every event once, and no gap."""

import asyncio
import gc
from typing import Any

import pytest

from tests.contract.factories import (
    append_at_end,
    append_events,
    chunk,
    create_session,
    delta,
    read_all,
    sequences,
    session_id,
    texts,
)
from turnlog.domain.errors import SequenceTakenError
from turnlog.domain.events import SessionUpdated
from turnlog.domain.fold import fold
from turnlog.ports import SessionLog

pytestmark = pytest.mark.anyio

WRITERS, WORDS = 8, 6


async def test_writers_that_decide_again_leave_no_gap_and_no_duplicate(log: SessionLog, elsewhere: SessionLog) -> None:
    state = await create_session(log)

    async def write(writer: int) -> list[int]:
        process = log if writer % 2 else elsewhere
        return [await append_at_end(process, state.session_id, delta(f"{writer}.{word}")) for word in range(WORDS)]

    written_at = await asyncio.gather(*(write(writer) for writer in range(WRITERS)))

    chunks = await read_all(log, state.session_id)
    assert sequences(chunks) == list(range(1, WRITERS * WORDS + 2))
    written = texts(chunks)
    assert sorted(written) == sorted(f"{writer}.{word}" for writer in range(WRITERS) for word in range(WORDS))
    for writer, own in enumerate(written_at):
        assert own == sorted(own)
        assert [written[sequence - 2] for sequence in own] == [f"{writer}.{word}" for word in range(WORDS)]


async def test_the_state_is_the_fold_of_all_that_racing_writers_wrote(log: SessionLog, elsewhere: SessionLog) -> None:
    state = await create_session(log)

    async def write(writer: int) -> None:
        for word in range(WORDS):
            change = SessionUpdated(changes={"session_name": f"{writer}.{word}"})
            await append_at_end(log if writer % 2 else elsewhere, state.session_id, change, delta())

    await asyncio.gather(*(write(writer) for writer in range(4)))

    assert await log.state(state.session_id) == fold(None, await read_all(log, state.session_id))


async def test_one_of_many_concurrent_creations_of_a_session_wins(log: SessionLog, elsewhere: SessionLog) -> None:
    session = session_id()

    answers = await asyncio.gather(
        *(create_session(process, session, owner=f"{number}") for number in range(10) for process in (log, elsewhere)),
        return_exceptions=True,
    )

    (created,) = [answer for answer in answers if not isinstance(answer, SequenceTakenError)]
    assert await log.state(session) == created


async def test_an_append_that_is_refused_after_its_writer_was_cancelled_logs_no_error(log: SessionLog) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    state = await create_session(log)
    await append_events(log, state, delta())
    late = asyncio.create_task(log.append(chunk(state.session_id, state.head, delta("late"))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.wait([late])
    await read_all(log, state.session_id)
    gc.collect()

    asyncio.get_running_loop().set_exception_handler(None)
    assert reported == []
