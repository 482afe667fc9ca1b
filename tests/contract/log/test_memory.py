"""A session as the memory of an agent, on every store."""

import asyncio
from typing import Any

import pytest

from tests.contract.factories import MESSAGE, RUN, append_events, create_session, delta, session_id
from tests.domain.media import content_of, data_url, picture, text
from turnlog.domain.content import bytes_stored
from turnlog.domain.errors import InvalidRequestError, SessionNotFoundError, TooLargeError
from turnlog.domain.events import MessageComplete, RunComplete, ToolCallComplete, UserMessage
from turnlog.domain.stored_documents import MessageParts
from turnlog.ports import SessionLog
from turnlog.services.memory import Memories
from turnlog.wiring import SystemClock

pytestmark = pytest.mark.anyio

OWNER, TRACE = "owner", "0" * 32
ITEMS: list[dict[str, Any]] = [
    {"role": "user", "content": "My name is Ada."},
    {"id": None, "type": "message", "content": [{"type": "output_text", "text": "Hi\u2028!", "n": 2**60, "x": 0.1}]},
]
END = RunComplete(status="completed", steps=1, usage={}, duration_ms=1, model="fake")


@pytest.fixture
def memories(log: SessionLog) -> Memories:
    return Memories(log, SystemClock())


async def test_items_come_back_unchanged_and_create_their_session(memories: Memories) -> None:
    session = session_id()
    assert await memories.items(OWNER, session) == []

    await memories.add(OWNER, session, ITEMS, TRACE)
    await memories.add(OWNER, session, [], TRACE)
    await memories.add(OWNER, session, ITEMS[:1], TRACE)

    assert await memories.items(OWNER, session) == [*ITEMS, *ITEMS[:1]]


async def test_the_newest_item_is_popped_and_all_are_cleared(memories: Memories) -> None:
    session = session_id()
    await memories.add(OWNER, session, ITEMS, TRACE)

    assert [await memories.pop(OWNER, session, TRACE) for _ in range(3)] == [ITEMS[1], ITEMS[0], None]
    await memories.add(OWNER, session, ITEMS, TRACE)
    await memories.clear(OWNER, session, TRACE)
    assert await memories.pop(OWNER, session, TRACE) is None
    await memories.add(OWNER, session, ITEMS[1:], TRACE)
    assert await memories.items(OWNER, session) == ITEMS[1:]


async def test_concurrent_adds_and_pops_lose_and_repeat_nothing(memories: Memories) -> None:
    session = session_id()
    await asyncio.gather(*(memories.add(OWNER, session, [{"n": n}], TRACE) for n in range(12)))
    assert sorted(item["n"] for item in await memories.items(OWNER, session)) == list(range(12))

    popped = await asyncio.gather(*(memories.pop(OWNER, session, TRACE) for _ in range(5)))

    left = await memories.items(OWNER, session)
    assert sorted(item["n"] for item in [*left, *popped] if item) == list(range(12))


async def test_turns_that_have_ended_are_items_in_the_order_of_the_log(log: SessionLog, memories: Memories) -> None:
    state = await create_session(log)
    session = state.session_id
    call = ToolCallComplete(
        id="c", step=1, name="add", arguments="{}", status="completed", response={"sum": 3}, duration_ms=1
    )
    data = [UserMessage(content="Hello"), RUN, delta(), MessageComplete(step=1, attempt=1, text="word"), call]
    state = await append_events(log, state, *data)
    assert await memories.items(OWNER, session) == []
    state = await append_events(log, state, END)
    await memories.add(OWNER, session, ITEMS, TRACE)

    assert await memories.items(OWNER, session) == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "word"},
        {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": '{"sum": 3}'},
        *ITEMS,
    ]


async def test_a_message_with_a_picture_is_an_item_in_the_form_of_the_responses_api(
    log: SessionLog, memories: Memories
) -> None:
    state = await create_session(log)
    content = content_of(text("Look"), picture())
    assert not isinstance(content, str)
    sent = UserMessage(content="Look\n[picture]", parts_bytes=bytes_stored(content))
    await append_events(log, state, sent, RUN, END, documents=[MessageParts(id=MESSAGE, parts=content)])

    assert await memories.items(OWNER, state.session_id) == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look"},
                {"type": "input_image", "image_url": data_url("image/png")},
            ],
        }
    ]


async def test_items_that_cannot_be_stored_are_refused_and_write_nothing(memories: Memories) -> None:
    session = session_id()
    with pytest.raises(InvalidRequestError):
        await memories.add(OWNER, session, [{"x": object()}], TRACE)
    with pytest.raises(TooLargeError):
        await memories.add(OWNER, session, [{"x": "x" * 1024**2}], TRACE)
    assert await memories.items(OWNER, session) == []

    await memories.add(OWNER, session, ITEMS, TRACE)
    with pytest.raises(SessionNotFoundError):
        await memories.items("somebody else", session)
    with pytest.raises(SessionNotFoundError):
        await memories.pop("somebody else", session, TRACE)
