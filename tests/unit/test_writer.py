"""Writers of one session: each gets its place, whoever else is at it."""

import asyncio
from itertools import pairwise

import pytest

from shared.domain.chunks import Draft
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
    busy = SessionWriter(on.log, on.clock, session_id)
    await busy.load()

    async def go_on() -> None:
        while True:
            await again(busy, "busy")

    going_on = asyncio.create_task(go_on())
    places = [await settle(on, session_id, "other") for _ in range(20)]
    going_on.cancel()
    await asyncio.wait([going_on])

    # Between two of the others there was time for a few reads and appends, and no more.
    assert max(later - earlier for earlier, later in pairwise(places)) < 20
    assert len(await events_of(on, session_id, "other")) == 20


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
