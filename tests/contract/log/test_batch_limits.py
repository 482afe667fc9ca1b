"""What is written at once has at most 96 documents and 1.5 MB as sent. More is refused, and nothing is written."""

import pytest

from tests.contract.factories import MESSAGE, RUN, append_events, create_session, delta, read_all, session_id, texts
from turnlog.domain.errors import BatchTooLargeError
from turnlog.domain.stored_documents import IdempotencyRecord, ModelResponse
from turnlog.ports import SessionLog
from turnlog.ports.log import MAX_BATCH_BYTES, MAX_BATCH_DOCUMENTS

pytestmark = pytest.mark.anyio

WIDTHS = {"a": 1, "é": 2, "€": 3, "😀": 4, '"': 4, "\\": 4, "\n": 3, "\x01": 7, "\x7f": 1, "/": 1}
"""Characters, and the bytes that each takes as it is sent: JSON within JSON, in UTF-8."""


def response(text: str, name: str = "large") -> ModelResponse:
    return ModelResponse(id=name, sequence=2, message_id=MESSAGE, step=1, body={"text": text})


def records(count: int) -> list[IdempotencyRecord]:
    return [IdempotencyRecord(id=f"key{number}", body_hash="hash", result="one") for number in range(count)]


async def test_the_chunk_the_state_and_94_documents_are_one_batch(log: SessionLog) -> None:
    created = await create_session(log)
    documents = records(MAX_BATCH_DOCUMENTS - 2)

    await append_events(log, created, RUN, documents=documents)

    assert [await log.get(IdempotencyRecord, created.session_id, each.id) for each in documents] == documents


async def test_more_documents_are_refused_and_nothing_is_written(log: SessionLog) -> None:
    created = await create_session(log)
    documents = records(MAX_BATCH_DOCUMENTS - 1)

    with pytest.raises(BatchTooLargeError):
        await append_events(log, created, RUN, documents=documents)

    assert await log.state(created.session_id) == created
    assert await log.get(IdempotencyRecord, created.session_id, documents[0].id) is None


@pytest.mark.parametrize("character", WIDTHS)
async def test_a_batch_has_at_most_one_and_a_half_megabytes_as_it_is_sent(log: SessionLog, character: str) -> None:
    created = await create_session(log)
    fitting = (MAX_BATCH_BYTES - 8 * 1024) // WIDTHS[character]
    too_many = MAX_BATCH_BYTES // WIDTHS[character]

    for size in (fitting, too_many):
        document = response(character * size)
        if size == too_many:
            with pytest.raises(BatchTooLargeError):
                await append_events(log, created, RUN, documents=[document])
        else:
            created = await append_events(log, created, RUN, documents=[document])

    stored = await log.get(ModelResponse, created.session_id, "large")
    assert stored is not None
    assert stored.body["text"] == character * fitting
    assert await log.state(created.session_id) == created


async def test_the_sizes_of_a_batch_are_added_up(log: SessionLog) -> None:
    created = await create_session(log)
    third = "x" * (MAX_BATCH_BYTES // 3)

    with pytest.raises(BatchTooLargeError):
        await append_events(log, created, delta(third), documents=[response(third, "one"), response(third, "two")])

    assert texts(await read_all(log, created.session_id)) == []
    assert await log.get(ModelResponse, created.session_id, "one") is None


async def test_a_document_alone_has_the_same_limit(log: SessionLog) -> None:
    session = session_id()
    await log.put(session, response("x" * (MAX_BATCH_BYTES - 8 * 1024), "fits"))

    with pytest.raises(BatchTooLargeError):
        await log.put(session, response("x" * MAX_BATCH_BYTES))

    assert await log.get(ModelResponse, session, "large") is None
    assert await log.get(ModelResponse, session, "fits") is not None
