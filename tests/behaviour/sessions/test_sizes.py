"""What a reader holds: a stream's page and a response are bounded in bytes, whatever the events refer to."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, cast

import pytest

from tests.contract.factories import RUN, append_events, create_session, message
from turnlog.api.edge.session_stream import StreamOptions, session_stream
from turnlog.domain.chunks import Event
from turnlog.domain.events import MessageComplete, Outside, UserMessage
from turnlog.domain.ids import MessageId, SessionId
from turnlog.domain.pages import MAX_PAGE_BYTES, MAX_RESPONSE_BYTES
from turnlog.domain.stored_documents import MessageParts, Step, StepDocument
from turnlog.services.history import PageQuery
from turnlog.services.log.stream import follow_events
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

OWNER = "owner"
LARGE = "x" * 100_000


async def session_with(app: Services, *chunks: Sequence[Any]) -> SessionId:
    state = await create_session(app.log, owner=OWNER)
    state = await append_events(app.log, state, UserMessage(content="hi"), RUN)
    for chunk in chunks:
        state = await append_events(app.log, state, *chunk)
    return state.session_id


def outside(count: int) -> list[Outside]:
    return [Outside(event_type="x", fields={"text": LARGE}) for _ in range(count)]


async def store_steps(app: Services, session_id: SessionId) -> None:
    """Five steps with 300 000 characters each."""
    for number in range(1, 6):
        step = Step(text=str(number) * 300_000)
        document = StepDocument(id=f"step_{number}", message_id=MessageId("msg_1"), number=number, step=step)
        await app.log.put(session_id, document)


def stored_size(events: Sequence[Event]) -> int:
    return sum(len(event.model_dump_json()) for event in events)


async def test_a_large_chunk_is_followed_in_parts_and_nothing_is_lost(app: Services) -> None:
    session_id = await session_with(app, outside(9), outside(1), outside(9))
    read: list[int] = []

    async with aclosing(follow_events(app.log, session_id, 0, timedelta(0))) as batches:
        async for events in batches:
            if not events:
                break
            assert stored_size(events) <= MAX_PAGE_BYTES
            read += [event.sequence for event in events]

    assert read == list(range(1, 23))


async def test_live_readers_share_no_more_than_a_page(app: Services) -> None:
    session_id = await session_with(app)
    state = await app.log.state(session_id)
    assert state is not None
    with app.log.watch(session_id) as tail:
        for _ in range(20):
            state = await append_events(app.log, state, *outside(1))
        held = await tail.wait(state.head - 2, timedelta(seconds=5))
        too_old = await tail.wait(state.head - 20, timedelta(0))

    assert [chunk.last for chunk in held] == [state.head - 1, state.head]
    assert list(too_old) == []


async def test_a_stream_holds_one_large_text_at_a_time(app: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [MessageComplete(step=n, attempt=1, text="", overflow=f"step_{n}") for n in range(1, 6)]
    session_id = await session_with(app, calls)
    await store_steps(app, session_id)
    loaded: list[str] = []
    get = app.log.get

    async def count(kind: Any, session: SessionId, document_id: str) -> Any:
        loaded.append(document_id)
        return await get(kind, session, document_id)

    monkeypatch.setattr(app.log, "get", count)
    response = session_stream(app.log, session_id, StreamOptions(0, timedelta(seconds=60)))
    packets = cast("AsyncGenerator[bytes]", response.body_iterator)

    sent = b""
    while b"1111" not in sent:
        packet = await anext(packets)
        assert len(packet) <= 64 * 1024
        sent += packet

    assert loaded == ["step_1"]
    await packets.aclose()


async def test_a_page_of_events_ends_with_its_texts_at_about_a_megabyte(app: Services) -> None:
    calls = [MessageComplete(step=n, attempt=1, text="", overflow=f"step_{n}") for n in range(1, 6)]
    session_id = await session_with(app, outside(4), calls)
    await store_steps(app, session_id)

    for newest in (False, True):
        read: list[int] = []
        cursor: int | None = None
        pages = 0
        while pages == 0 or cursor is not None:
            start: dict[str, Any] = {} if cursor is None else {"before" if newest else "after": cursor}
            page = await app.history.page(OWNER, session_id, PageQuery(newest=newest, limit=1000, **start))
            events = [entry.event for entry in page.entries]
            assert stored_size(events) <= MAX_RESPONSE_BYTES
            read += [event.sequence for event in events]
            cursor, pages = page.next_cursor, pages + 1
        assert read == (list(range(1, 13))[::-1] if newest else list(range(1, 13)))
        assert pages >= 2


async def test_the_newest_events_of_a_session_are_bounded(app: Services) -> None:
    session_id = await session_with(app, *(outside(1) for _ in range(15)))
    state = await app.log.state(session_id)
    assert state is not None

    tail = await app.sessions.tail(state, 1000)

    assert [event.sequence for event in tail] == list(range(state.head - len(tail) + 1, state.head + 1))
    assert 5 <= len(tail) <= 10
    three = await app.sessions.tail(state, 3)
    assert [event.sequence for event in three] == [state.head - 2, state.head - 1, state.head]


async def test_a_list_of_messages_is_bounded_with_the_parts_that_are_sent(app: Services) -> None:
    session_id = await session_with(app)
    state = await app.log.state(session_id)
    assert state is not None
    parts = [{"type": "text", "text": "p" * 400_000}]

    for number in range(1, 6):
        stored = message(state, number, number, parts_bytes=400_000)
        await app.log.put(session_id, stored)
        await app.log.put(session_id, MessageParts.model_validate({"id": stored.id, "parts": parts}))

    first = await app.messages.list(OWNER, session_id, after=None, limit=100, newest=False)
    rest = await app.messages.list(OWNER, session_id, after=first.messages[-1].message_id, limit=100, newest=False)

    assert ([each.sequence for each in first.messages], first.has_more) == ([1, 2], True)
    assert ([each.sequence for each in rest.messages], rest.has_more) == ([3, 4], True)


async def test_a_live_reader_does_not_read_what_it_was_woken_with(
    app: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await session_with(app)
    state = await app.log.state(session_id)
    assert state is not None
    reads = 0
    read = app.log.read

    async def count(*position: Any, **window: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(*position, **window)

    monkeypatch.setattr(app.log, "read", count)
    received: list[int] = []
    async with aclosing(follow_events(app.log, session_id, state.head, timedelta(seconds=20))) as batches:
        assert await anext(batches) == ()
        reads = 0
        for _ in range(3):
            state = await append_events(app.log, state, Outside(event_type="x"))
            received += [event.sequence for event in await anext(batches)]
            assert await anext(batches) == ()

    assert received == [state.head - 2, state.head - 1, state.head]
    assert reads == 0
