"""Writers of one session: each gets its place, whoever else is at it."""

import asyncio
from typing import Any

import pytest

from shared.domain.chunks import Draft
from shared.domain.errors import StoreUnavailableError
from shared.domain.events import Outside
from shared.domain.ids import SessionId
from shared.domain.session import SessionState
from shared.services.writer import Decision, SessionWriter
from shared.wiring import Services
from tests.unit.telling import events_of, opened, state_of

pytestmark = pytest.mark.anyio


async def settle(on: Services, session_id: SessionId, event_type: str) -> int:
    """Append an outside event in a writer's way; gives where it stands."""
    writer = SessionWriter(on.log, on.clock, session_id)
    await writer.load()
    return await again(writer, event_type)


async def again(writer: SessionWriter, event_type: str) -> int:
    async def decide(state: SessionState) -> Decision[int]:
        return Decision(state.head + 1, [Draft(data=Outside(event_type=event_type))])

    return await writer.settle(decide)


async def test_a_writer_that_appends_without_pause_leaves_others_their_turn(on: Services) -> None:
    session_id = await opened(on)
    busy, other = (SessionWriter(on.log, on.clock, session_id) for _ in range(2))
    await busy.load()
    await other.load()

    async def go_on() -> None:
        while True:
            await again(busy, "busy")

    going_on = asyncio.create_task(go_on())
    waits: list[int] = []
    for _ in range(20):
        head = busy.state.head
        waits.append(await again(other, "other") - head)
    going_on.cancel()
    await asyncio.wait([going_on])

    # At most one append of the busy writer, which was under way, and its next, which waited first.
    assert max(waits) <= 3
    assert len(await events_of(on, session_id, "other")) == 20
    assert len(await events_of(on, session_id, "busy")) >= 10


async def test_a_writer_finds_what_another_process_has_appended(on: Services) -> None:
    session_id = await opened(on)
    writer = SessionWriter(on.log, on.clock, session_id)
    await writer.load()
    stranger = SessionWriter(on.log, on.clock, session_id)
    await stranger.load()
    for _ in range(3):  # past the line in which this process's writers stand
        await stranger.append([Draft(data=Outside(event_type="stranger"))])

    assert await again(writer, "own") == 5
    assert (await state_of(on, session_id)).head == 5


async def test_a_writer_that_hangs_holds_up_the_others_no_longer_than_the_line_may_stand_still(
    on: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.services.writer._STANDSTILL_SECONDS", 0.05)
    session_id = await opened(on)
    hung = SessionWriter(on.log, on.clock, session_id)
    await hung.load()
    goes_on = asyncio.Event()

    async def decide(state: SessionState) -> Decision[int]:
        await goes_on.wait()
        return Decision(state.head + 1, [Draft(data=Outside(event_type="late"))])

    hanging = asyncio.create_task(hung.settle(decide))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        places = await asyncio.gather(*(settle(on, session_id, "other") for _ in range(5)))
    goes_on.set()

    assert sorted(places) == [2, 3, 4, 5, 6]
    assert await hanging == 7


async def test_writers_ask_a_store_that_does_not_answer_side_by_side(
    on: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.services.writer._STANDSTILL_SECONDS", 0.1)
    session_id = await opened(on)
    asking = most = 0

    async def give_up(*_: object) -> None:
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        await asyncio.sleep(0.2)
        asking -= 1
        raise StoreUnavailableError("The store doesn't answer.")

    monkeypatch.setattr(on.log, "append", give_up)
    ends = await asyncio.gather(*(settle(on, session_id, "other") for _ in range(20)), return_exceptions=True)

    assert {type(end) for end in ends} == {StoreUnavailableError}
    assert most > 10


async def test_a_line_that_moves_is_kept_however_long_it_is(on: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.services.writer._STANDSTILL_SECONDS", 0.1)
    session_id = await opened(on)
    writing = most = 0
    append = on.log.append

    async def slowly(*given: Any) -> None:
        nonlocal writing, most
        writing += 1
        most = max(most, writing)
        await asyncio.sleep(0.02)
        await append(*given)
        writing -= 1

    monkeypatch.setattr(on.log, "append", slowly)
    places = await asyncio.gather(*(settle(on, session_id, "other") for _ in range(20)))

    assert sorted(places) == list(range(2, 22))
    assert most == 1


async def test_a_writer_that_is_cancelled_in_the_line_leaves_it_to_the_others(on: Services) -> None:
    session_id = await opened(on)
    waiting = [asyncio.create_task(settle(on, session_id, "other")) for _ in range(20)]
    for number, each in enumerate(waiting):
        await asyncio.sleep(0.001)
        if number % 3 == 0:
            each.cancel()
    await asyncio.wait(waiting)

    async with asyncio.timeout(5):
        await settle(on, session_id, "last")
