"""Writers that race: the log has every event once, and no gap."""

import asyncio

import pytest

from shared.domain.errors import SequenceTakenError
from shared.domain.events import SessionUpdated
from shared.domain.fold import fold
from shared.ports import SessionLog
from tests.contract.factories import append_at_end, create_session, delta, read_all, sequences, session_id, texts

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
