"""Writers of one session: each appends, however many there are."""

import asyncio
from typing import Any

import pytest

from tests.behaviour.factories import create_session, load_events, load_state
from turnlog.domain.chunks import Draft
from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.events import Outside
from turnlog.domain.ids import SessionId
from turnlog.domain.session import SessionState
from turnlog.services.log.writer import Decision, SessionWriter
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio


async def append_outside(app: Services, session_id: SessionId, event_type: str) -> int:
    """Append an outside event with a new writer; its sequence."""
    writer = SessionWriter(app.log, app.clock, session_id)
    await writer.load()
    return await append(writer, event_type)


async def append(writer: SessionWriter, event_type: str) -> int:
    async def decide(state: SessionState) -> Decision[int]:
        return Decision(state.head + 1, [Draft(data=Outside(event_type=event_type))])

    return await writer.transact(decide)


async def test_a_writer_that_appends_without_pause_lets_others_append(app: Services) -> None:
    session_id = await create_session(app)
    busy, other = (SessionWriter(app.log, app.clock, session_id) for _ in range(2))
    await busy.load()
    await other.load()

    async def append_forever() -> None:
        while True:
            await append(busy, "busy")

    appending = asyncio.create_task(append_forever())
    waits: list[int] = []
    for _ in range(20):
        head = busy.state.head
        waits.append(await append(other, "other") - head)
    appending.cancel()
    await asyncio.wait([appending])

    # Before it come at most the busy writer's append that was under way, and the next, which waited already.
    assert max(waits) <= 3
    assert len(await load_events(app, session_id, "other")) == 20
    assert len(await load_events(app, session_id, "busy")) >= 10


async def test_a_writer_finds_what_another_process_has_appended(app: Services) -> None:
    session_id = await create_session(app)
    writer = SessionWriter(app.log, app.clock, session_id)
    await writer.load()
    stranger = SessionWriter(app.log, app.clock, session_id)
    await stranger.load()
    for _ in range(3):  # past the line in which this process's writers stand
        await stranger.append([Draft(data=Outside(event_type="stranger"))])

    assert await append(writer, "own") == 5
    assert (await load_state(app, session_id)).head == 5


async def test_a_writer_that_hangs_delays_the_others_only_for_the_standstill_time(
    app: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnlog.services.log.writer._NO_PROGRESS_SECONDS", 0.05)
    session_id = await create_session(app)
    hung = SessionWriter(app.log, app.clock, session_id)
    await hung.load()
    released = asyncio.Event()

    async def decide(state: SessionState) -> Decision[int]:
        await released.wait()
        return Decision(state.head + 1, [Draft(data=Outside(event_type="late"))])

    hanging = asyncio.create_task(hung.transact(decide))
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        sequences = await asyncio.gather(*(append_outside(app, session_id, "other") for _ in range(5)))
    released.set()

    assert sorted(sequences) == [2, 3, 4, 5, 6]
    assert await hanging == 7


async def test_writers_call_a_store_that_does_not_answer_at_the_same_time(
    app: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnlog.services.log.writer._NO_PROGRESS_SECONDS", 0.1)
    session_id = await create_session(app)
    asking = max_asking = 0

    async def give_up(*_: object) -> None:
        nonlocal asking, max_asking
        asking += 1
        max_asking = max(max_asking, asking)
        await asyncio.sleep(0.2)
        asking -= 1
        raise StoreUnavailableError("The store doesn't answer.")

    monkeypatch.setattr(app.log, "append", give_up)
    ends = await asyncio.gather(*(append_outside(app, session_id, "other") for _ in range(20)), return_exceptions=True)

    assert {type(end) for end in ends} == {StoreUnavailableError}
    assert max_asking > 10


async def test_a_line_that_makes_progress_is_kept_however_long_it_is(
    app: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnlog.services.log.writer._NO_PROGRESS_SECONDS", 2)  # a third of what all take
    session_id = await create_session(app)
    writing = max_writing = 0
    append = app.log.append

    async def slowly(*given: Any) -> None:
        nonlocal writing, max_writing
        writing += 1
        max_writing = max(max_writing, writing)
        await asyncio.sleep(0.3)
        await append(*given)
        writing -= 1

    monkeypatch.setattr(app.log, "append", slowly)
    sequences = await asyncio.gather(*(append_outside(app, session_id, "other") for _ in range(20)))

    assert sorted(sequences) == list(range(2, 22))
    assert max_writing == 1


async def test_a_writer_that_is_cancelled_in_the_line_leaves_it_to_the_others(app: Services) -> None:
    session_id = await create_session(app)
    waiting = [asyncio.create_task(append_outside(app, session_id, "other")) for _ in range(20)]
    for number, each in enumerate(waiting):
        await asyncio.sleep(0.001)
        if number % 3 == 0:
            each.cancel()
    await asyncio.wait(waiting)

    async with asyncio.timeout(60):
        await append_outside(app, session_id, "last")
