"""Documents beside the log: read by id, listed in order, expired; and how long a writer has been silent."""

from datetime import timedelta
from typing import Any

import anyio
import pytest

from tests.contract.factories import MESSAGE, append_events, create_session, delta, message, session_id
from tests.domain.media import content_of, picture_of, text
from turnlog.domain.content import bytes_stored, inline_text
from turnlog.domain.errors import SequenceTakenError
from turnlog.domain.events import MessageComplete
from turnlog.domain.ids import new_writer_id
from turnlog.domain.stored_documents import (
    IdempotencyRecord,
    Lease,
    Message,
    MessageParts,
    ModelResponse,
    Producer,
    Receipt,
    ToolResult,
)
from turnlog.domain.turn_events import queued_draft, start_drafts
from turnlog.domain.values import ToolOutcome
from turnlog.ports import SessionLog

pytestmark = pytest.mark.anyio


class ShortLease(Lease):
    """A lease that expires after a second."""

    expires_after = 1


async def test_a_document_is_found_by_its_kind_and_id(log: SessionLog) -> None:
    session = session_id()
    record = IdempotencyRecord(id="same", body_hash="hash", result="msg_1")
    response = ModelResponse(id="same", message_id=MESSAGE, step=1, body={"unknown": {"kept": [None, 2**60]}})

    await log.put(session, record)
    await log.put(session, response)

    assert await log.get(IdempotencyRecord, session, "same") == record
    assert await log.get(ModelResponse, session, "same") == response
    assert await log.get(Lease, session, "same") is None
    assert await log.get(ModelResponse, session_id(), "same") is None


async def test_a_producer_is_written_only_with_its_chunk(log: SessionLog) -> None:
    state = await create_session(log)
    receipt = Receipt(first_sequence=2, count=1, body_hash="hash")
    producer = Producer(id="p", epoch=1, seq=0, receipts=(receipt,))
    await append_events(log, state, delta(), documents=[producer])

    with pytest.raises(SequenceTakenError):
        await append_events(log, state, delta(), documents=[producer.model_copy(update={"seq": 1})])

    assert await log.get(Producer, state.session_id, "p") == producer


async def test_a_document_that_is_put_again_is_replaced(log: SessionLog) -> None:
    session = session_id()
    for result in ("msg_1", "msg_2"):
        await log.put(session, IdempotencyRecord(id="key", body_hash="hash", result=result))

    found = await log.get(IdempotencyRecord, session, "key")

    assert found is not None
    assert found.result == "msg_2"


async def test_documents_of_a_kind_are_found_in_order(log: SessionLog) -> None:
    state = await create_session(log)
    messages = [message(state, number, sequence=number * 10) for number in range(1, 12)]
    for each in reversed(messages):
        await log.put(state.session_id, each)
    await log.put(state.session_id, ModelResponse(id="r", sequence=15, message_id=MESSAGE, step=1, body={}))

    async def sequences(**arguments: Any) -> list[int]:
        return [found.sequence for found in await log.find(Message, state.session_id, **arguments)]

    assert await sequences(limit=20) == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]
    assert await sequences(limit=2) == [10, 20]
    assert await sequences(after=20, limit=2) == [30, 40]
    assert await sequences(after=25, limit=2) == [30, 40]
    assert await sequences(after=110, limit=2) == []
    assert await sequences(limit=2, newest=True) == [100, 110]
    assert await sequences(after=100, limit=2, newest=True) == [110]
    assert await sequences(before=30, limit=5) == [10, 20]
    assert await sequences(before=90, limit=2, newest=True) == [70, 80]
    assert await sequences(after=20, before=40, limit=5) == [30]
    assert [found.id for found in await log.find(ModelResponse, state.session_id, limit=5)] == ["r"]


async def test_documents_with_one_sequence_are_ordered_by_their_ids(log: SessionLog) -> None:
    session = session_id()
    for name in ("b", "c", "a"):
        outcome = ToolOutcome(status="completed", response={"of": name})
        await log.put(
            session,
            ToolResult(id=name, sequence=7, message_id=MESSAGE, step=1, name="x", arguments="{}", outcome=outcome),
        )

    assert [found.id for found in await log.find(ToolResult, session, limit=5)] == ["a", "b", "c"]
    assert [found.id for found in await log.find(ToolResult, session, limit=2, newest=True)] == ["b", "c"]
    assert await log.find(ToolResult, session, after=7, limit=5) == []


async def test_a_document_is_listed_at_its_newest_sequence(log: SessionLog) -> None:
    state = await create_session(log)
    await log.put(state.session_id, message(state, 1, sequence=2))
    await log.put(state.session_id, message(state, 2, sequence=3))

    await log.put(state.session_id, message(state, 1, sequence=9))

    assert [found.sequence for found in await log.find(Message, state.session_id, limit=5)] == [3, 9]


async def test_a_large_response_is_written_with_its_chunk(log: SessionLog) -> None:
    state = await create_session(log)
    response = ModelResponse(id="large", sequence=2, message_id=MESSAGE, step=1, body={"text": "ü" * 400_000})

    await append_events(log, state, MessageComplete(step=1, attempt=1, text="", overflow="large"), documents=[response])

    assert await log.get(ModelResponse, state.session_id, "large") == response


async def test_a_content_of_the_largest_size_is_written_with_its_message(log: SessionLog) -> None:
    state = await create_session(log)
    content = content_of(text('"ü\n' * 30_000), picture_of(500_000))
    assert not isinstance(content, str)
    sent = message(state, 1, sequence=2, content=inline_text(content), parts_bytes=bytes_stored(content))
    parts = MessageParts(id=sent.id, sequence=2, parts=content)
    drafts = [*start_drafts(sent), *(queued_draft(sent, "steer") for _ in range(8))]

    await append_events(log, state, *(draft.data for draft in drafts), documents=[sent, parts])

    assert await log.get(Message, state.session_id, sent.id) == sent
    assert await log.get(MessageParts, state.session_id, sent.id) == parts
    assert await log.find(Message, state.session_id, limit=5) == [sent]


@pytest.mark.needs("expiry")
async def test_a_document_expires(log: SessionLog) -> None:
    session = session_id()
    await log.put(session, ShortLease(id="short"))
    await log.put(session, Lease(id="long"))

    with anyio.fail_after(30):
        while await log.get(Lease, session, "short") is not None:  # noqa: ASYNC110 - only the store knows
            await anyio.sleep(0.05)

    assert await log.get(Lease, session, "long") == Lease(id="long")


async def test_a_writer_that_never_wrote_has_no_silence(log: SessionLog) -> None:
    state = await create_session(log)

    assert await log.silence(state.session_id, new_writer_id()) is None


async def test_an_append_or_a_lease_ends_the_silence_of_a_writer(log: SessionLog) -> None:
    state = await create_session(log)
    appending, leasing = new_writer_id(), new_writer_id()
    await append_events(log, state, delta(), writer=appending)
    await log.put(state.session_id, Lease(id=leasing))

    for writer in (appending, leasing):
        silence = await log.silence(state.session_id, writer)
        assert silence is not None
        assert timedelta(0) <= silence < timedelta(minutes=1)


async def test_silence_grows_until_the_writer_writes_again(log: SessionLog) -> None:
    state = await create_session(log)
    writer = new_writer_id()
    await append_events(log, state, delta(), writer=writer)

    with anyio.fail_after(30):
        while (grown := await log.silence(state.session_id, writer)) is None or grown < timedelta(seconds=1):  # noqa: ASYNC110 - only the store knows
            await anyio.sleep(0.05)
    await log.put(state.session_id, Lease(id=writer))

    renewed = await log.silence(state.session_id, writer)
    assert renewed is not None
    assert renewed < grown
