"""What a stream shows before the platform has answered: the message that was just posted."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import Any, cast

import pytest

from tests.behaviour.factories import LOST_STARTS, DurableClient, append_events, create_session
from tests.domain.factories import OWNER, TRACE
from turnlog.api.edge.session_stream import StreamOptions, session_stream
from turnlog.domain.chunks import Event
from turnlog.domain.events import Outside
from turnlog.scheduler import DurableTurnScheduler
from turnlog.services.log.idempotency import IdempotencyKey
from turnlog.services.log.stream import follow_events
from turnlog.services.turns.submit import NewMessage
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

_SECOND = timedelta(seconds=1)


class SlowClient(DurableClient):
    """A durable client that answers once `answers` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        self.has_answered = asyncio.Event()

    async def start_new(self, name: str, instance_id: str, payload: dict[str, Any]) -> None:
        await self.answers.wait()
        await super().start_new(name, instance_id, payload)
        self.has_answered.set()


async def test_a_stream_shows_the_posted_message_before_the_start_is_answered_and_without_reading_the_log(
    app: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id, client = await create_session(app), SlowClient()
    scheduler = DurableTurnScheduler(client, app.settings, waits=False)  # pyright: ignore[reportArgumentType]
    submission = await app.turns.submit(OWNER, session_id, NewMessage("Hello", TRACE), scheduler)
    monkeypatch.setattr(app.log, "read", None)

    options = StreamOptions(submission.after, timedelta(0), first=submission.events)
    response = session_stream(app.log, session_id, options)
    sent = b"".join([packet async for packet in cast("AsyncGenerator[bytes]", response.body_iterator)])

    assert sent.count(b"event: user_message\n") == sent.count(b"event: run.start\n") == 1
    assert client.started == []

    client.answers.set()
    await client.has_answered.wait()
    assert [start["turn_id"] for start in client.started] == [submission.message.turn_id]


async def test_a_caller_that_does_not_stay_waits_for_the_start(app: Services) -> None:
    session_id, client = await create_session(app), SlowClient()
    scheduler = DurableTurnScheduler(client, app.settings)  # pyright: ignore[reportArgumentType]
    submitting = asyncio.create_task(app.turns.submit(OWNER, session_id, NewMessage("Hello", TRACE), scheduler))

    await asyncio.wait([submitting], timeout=0.2)
    assert not submitting.done()

    client.answers.set()
    await submitting
    assert client.has_answered.is_set()


async def test_events_that_the_caller_has_are_not_repeated(app: Services) -> None:
    session_id = await create_session(app)
    submission = await app.turns.submit(OWNER, session_id, NewMessage("Hello", TRACE), LOST_STARTS)
    shown: list[Event] = []

    async with aclosing(follow_events(app.log, session_id, submission.after, _SECOND, submission.events)) as batches:
        async for events in batches:
            shown += events
            if not events:
                break
        await append_events(app, session_id, Outside(event_type="note"))
        async for events in batches:
            shown += events
            if events:
                break

    first = submission.after + 1
    assert [event.sequence for event in shown] == [*range(first, first + len(submission.events)), shown[-1].sequence]
    assert shown[-1].sequence == first + len(submission.events)


async def test_a_submission_has_the_events_that_its_request_appended_from_the_message_on(app: Services) -> None:
    session_id, key = await create_session(app), IdempotencyKey("key", "body")
    new, interrupting = NewMessage("Hello", TRACE), NewMessage("Stop that", TRACE, on_busy="interrupt")

    first = await app.turns.submit(OWNER, session_id, new, LOST_STARTS, key)
    repeated = await app.turns.submit(OWNER, session_id, new, LOST_STARTS, key)
    second = await app.turns.submit(OWNER, session_id, interrupting, LOST_STARTS)

    assert [event.type for event in first.events] == ["user_message", "run.start"]
    assert (repeated.replayed, repeated.events) == (True, [])
    assert [event.sequence for event in second.events] == [second.message.sequence]
