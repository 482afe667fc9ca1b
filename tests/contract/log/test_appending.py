"""An append writes all or nothing, once, and each sequence has one writer."""

import pytest

from tests.contract.factories import (
    MESSAGE,
    RUN,
    THEN,
    append_events,
    chunk,
    create_session,
    delta,
    message,
    read_all,
    session_id,
    texts,
)
from turnlog.domain.errors import SequenceTakenError
from turnlog.domain.events import MessageComplete, Outside, SessionUpdated, UserMessage
from turnlog.domain.fold import fold
from turnlog.domain.ids import bound_id, new_writer_id
from turnlog.domain.stored_documents import ModelResponse, ToolResult
from turnlog.domain.values import ToolOutcome
from turnlog.ports import SessionLog

pytestmark = pytest.mark.anyio


async def test_a_chunk_comes_back_as_it_was_appended(log: SessionLog) -> None:
    created = await create_session(log, metadata={"deep": {"list": [1, 2.5, None, "x"]}})
    appended = chunk(created.session_id, 1, UserMessage(content="Hello"), RUN)

    await log.append(appended, fold(created, [appended]))

    assert (await read_all(log, created.session_id, after=1)) == [appended]


async def test_the_state_is_that_after_the_last_chunk(log: SessionLog) -> None:
    state = await create_session(log, session_name="First")
    state = await append_events(log, state, UserMessage(content="Hello"), RUN)
    state = await append_events(log, state, SessionUpdated(changes={"session_name": None, "metadata": {"a": None}}))

    assert await log.state(state.session_id) == state


async def test_an_unknown_session_has_no_state_and_no_chunks(log: SessionLog) -> None:
    unknown = session_id()

    assert await log.state(unknown) is None
    assert await log.read(unknown, 0, 10) == []


async def test_documents_are_written_with_their_chunk(log: SessionLog) -> None:
    created = await create_session(log)
    posted = message(created, 1, sequence=2)
    result = ToolResult(
        id="call_1",
        sequence=3,
        message_id=MESSAGE,
        step=1,
        name="add",
        arguments="{}",
        outcome=ToolOutcome(status="failed"),
    )

    await append_events(log, created, UserMessage(content="Hello"), RUN, documents=[posted, result])

    assert await log.get(type(posted), created.session_id, posted.id) == posted
    assert await log.get(ToolResult, created.session_id, result.id) == result


async def test_a_document_is_replaced_by_the_next_of_its_id(log: SessionLog) -> None:
    created = await create_session(log)
    posted = message(created, 1, sequence=2)
    state = await append_events(log, created, UserMessage(content="Hello"), RUN, documents=[posted])
    answered = posted.model_copy(update={"status": "completed"})

    await append_events(log, state, MessageComplete(step=1, attempt=1, text="Hi"), documents=[answered])

    assert await log.get(type(posted), created.session_id, posted.id) == answered


async def test_a_taken_sequence_is_refused_and_nothing_is_written(log: SessionLog) -> None:
    created = await create_session(log)
    winner = await append_events(log, created, SessionUpdated(changes={"session_name": "winner"}))
    posted = message(created, 1, sequence=2)

    with pytest.raises(SequenceTakenError):
        await append_events(log, created, UserMessage(content="loser"), documents=[posted])

    assert await log.state(created.session_id) == winner
    assert [event.type for each in await read_all(log, created.session_id) for event in each.events] == [
        "session.created",
        "session.updated",
    ]
    assert await log.get(type(posted), created.session_id, posted.id) is None


async def test_a_taken_sequence_is_refused_for_a_chunk_alone(log: SessionLog) -> None:
    created = await create_session(log)
    await append_events(log, created, delta("winner"))

    with pytest.raises(SequenceTakenError):
        await append_events(log, created, delta("loser"))

    assert texts(await read_all(log, created.session_id)) == ["winner"]


async def test_a_lost_race_leaves_no_large_response(log: SessionLog) -> None:
    created = await create_session(log)
    stored, lost = (ModelResponse(id="r", message_id=MESSAGE, step=1, body={"text": x * 300_000}) for x in "kl")
    done = MessageComplete(step=1, attempt=1, text="", overflow="r")
    await append_events(log, created, done, documents=[stored])

    with pytest.raises(SequenceTakenError):
        await append_events(log, created, done, documents=[lost])

    assert await log.get(ModelResponse, created.session_id, "r") == stored


async def test_a_session_can_be_created_once(log: SessionLog) -> None:
    created = await create_session(log, owner="first")

    with pytest.raises(SequenceTakenError):
        await create_session(log, created.session_id, owner="second")

    assert await log.state(created.session_id) == created


async def test_an_append_whose_reply_was_lost_may_be_repeated(log: SessionLog) -> None:
    created = await create_session(log)
    alone = chunk(created.session_id, 1, delta("once"))
    with_state = chunk(created.session_id, 2, SessionUpdated(changes={"session_name": "once"}))
    state = fold(created, [alone, with_state])

    for _ in range(2):
        await log.append(alone)
        await log.append(with_state, state)

    assert await read_all(log, created.session_id, after=1) == [alone, with_state]
    assert await log.state(created.session_id) == state


async def test_an_append_that_is_repeated_late_does_not_replace_a_later_state(log: SessionLog) -> None:
    created = await create_session(log)
    earlier = chunk(created.session_id, 1, SessionUpdated(changes={"session_name": "earlier"}))
    after_earlier = fold(created, [earlier])
    assert after_earlier is not None
    await log.append(earlier, after_earlier)
    later = await append_events(log, after_earlier, SessionUpdated(changes={"session_name": "later"}))

    await log.append(earlier, after_earlier)

    assert await log.state(created.session_id) == later


async def test_an_equal_chunk_of_another_writer_is_refused(log: SessionLog) -> None:
    created = await create_session(log)
    ours = chunk(created.session_id, 1, delta("same"))
    await log.append(ours)

    with pytest.raises(SequenceTakenError):
        await log.append(ours.model_copy(update={"writer": new_writer_id()}))


async def test_another_chunk_of_the_same_writer_is_refused(log: SessionLog) -> None:
    created = await create_session(log)
    writer = new_writer_id()
    await log.append(chunk(created.session_id, 1, delta("first"), writer=writer))

    with pytest.raises(SequenceTakenError):
        await log.append(chunk(created.session_id, 1, delta("first, and more"), writer=writer))

    assert texts(await read_all(log, created.session_id)) == ["first"]


@pytest.mark.parametrize("name", ["a", "-", "...", "a.b:c-d", ":", "x" * 128, f"{'y' * 127}:", "state", "A"])
async def test_every_session_id_has_its_own_log(log: SessionLog, name: str) -> None:
    other = await create_session(log, bound_id("owner", f"{name[:-1]}z"), owner="owner")
    of_other_owner = await create_session(log, bound_id("neighbour", name), owner="neighbour")
    created = await create_session(log, bound_id("owner", name), owner="owner")

    state = await append_events(log, created, SessionUpdated(changes={"session_name": "here"}))

    assert await log.state(state.session_id) == state
    assert await log.state(other.session_id) == other
    assert await log.state(of_other_owner.session_id) == of_other_owner


TEXTS = {
    "empty": "",
    "NUL": "a\x00b",
    "control characters": "\x01\x1f\x7f\u2028\u2029\ufeff",
    "emoji": "\U0001f600\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "escapes": "\\u0000\"'\\",
    "combining": "e\u0301",
    "64 KB": "x" * 65536,
    "64 KB of UTF-8": "\u00fc\U0001f600" * 11000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
async def test_any_text_comes_back_unchanged(log: SessionLog, text: str) -> None:
    created = await create_session(log)
    outside = Outside(event_type="x", fields={"text": text, text[:20]: [text[:20]]})

    state = await append_events(log, created, delta(text), outside, UserMessage(content=text))

    events = [event for each in await read_all(log, created.session_id, after=1) for event in each.events]
    assert [event.data for event in events] == [delta(text), outside, UserMessage(content=text)]
    assert await log.state(created.session_id) == state


async def test_numbers_of_outside_events_come_back_unchanged(log: SessionLog) -> None:
    created = await create_session(log)
    deep: dict[str, object] = {}
    for _ in range(100):
        deep = {"d": deep}
    fields = {"id": 2**63 + 1, "small": 5e-324, "big": 1.7976931348623157e308, "none": None, "$": True, "deep": deep}

    await append_events(log, created, Outside(event_type="numbers", fields=fields))

    (read,) = await read_all(log, created.session_id, after=1)
    assert read.events[0].data == Outside(event_type="numbers", fields=fields)
    assert read.events[0].timestamp == THEN
