"""The store is unavailable for a while: attempts wait for it, and nothing is billed twice or written twice."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import (
    OWNER,
    DurableClient,
    activity_input,
    append_events,
    create_session,
    load_events,
    load_message,
    load_types,
    outcome_of,
    post_message,
)
from turnlog.domain.chunks import Chunk
from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.events import MessageComplete, MessageDelta, MessageStart
from turnlog.domain.stored_documents import Message
from turnlog.orchestrations.activities import call_model, finish_turn, park_turn, run_tool
from turnlog.services.log import holding
from turnlog.wiring import Services, services

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("model")]

CALCULATE = 'call calculate {"expression": "1 + 1"}'


class Outage:
    """The log's `append` fails `failures` times for chunks of a type: before it writes, or after (a lost reply)."""

    def __init__(self, app: Services, event_type: str, failures: int, *, writes: bool) -> None:
        self._append: Callable[..., Any] = app.log.append
        self._event_type = event_type
        self.failures = failures
        self._writes = writes
        app.log.append = self.append  # pyright: ignore[reportAttributeAccessIssue]

    async def append(self, chunk: Chunk, *rest: Any) -> None:
        if self._event_type not in chunk.types or not self.failures:
            await self._append(chunk, *rest)
            return
        self.failures -= 1
        if self._writes:
            await self._append(chunk, *rest)
        raise StoreUnavailableError("The store is away.")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "_PAUSES", (0.01,))


@pytest.fixture
async def message(app: Services) -> Message:
    return await post_message(app, await create_session(app), model="fake-20-2")


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("event_type", ["message.start", "message.delta", "run.complete"])
async def test_an_attempt_waits_for_the_store_with_its_text_and_its_call(
    app: Services, message: Message, event_type: str, writes: bool
) -> None:
    outage = Outage(app, event_type, 5, writes=writes)

    assert outcome_of(await call_model(activity_input(message))) == "ended"

    assert outage.failures == 0
    (complete,) = await load_events(app, message.session_id, "message.complete")
    deltas = [event.data for event in await load_events(app, message.session_id, "message.delta")]
    assert isinstance(complete.data, MessageComplete)
    assert "".join(each.text for each in deltas if isinstance(each, MessageDelta)) == complete.data.text
    assert (await load_types(app, message.session_id)).count("message.start") == 1
    assert (await load_message(app, message)).usage.completion_tokens == 20


async def test_what_was_collected_during_an_outage_is_written_in_parts(app: Services) -> None:
    message = await post_message(app, await create_session(app), model="fake-60000-0")
    Outage(app, "message.delta", 20, writes=False)

    assert outcome_of(await call_model(activity_input(message))) == "ended"

    deltas = [event.data for event in await load_events(app, message.session_id, "message.delta")]
    texts = [each.text for each in deltas if isinstance(each, MessageDelta)]
    assert max(len(text) for text in texts) <= 128 * 1024
    assert len("".join(texts)) > 256 * 1024


@pytest.mark.parametrize("writes", [False, True])
async def test_the_outcome_of_a_tool_waits_for_the_store(app: Services, writes: bool) -> None:
    message = await post_message(app, await create_session(app), CALCULATE, model="fake-5-0")
    (call_id,) = (await call_model(activity_input(message)))["call_ids"]
    Outage(app, "tool_call.complete", 5, writes=writes)

    assert outcome_of(await run_tool(activity_input(message, call_id=call_id))) == "done"

    assert (await load_types(app, message.session_id))[-2:] == ["tool_call.start", "tool_call.complete"]


async def test_an_attempt_gives_up_at_the_deadline_of_its_turn(app: Services, message: Message, clock: Clock) -> None:
    Outage(app, "message.start", 10**6, writes=False)
    clock.move(app.turn_timeout + timedelta(seconds=1))

    assert outcome_of(await call_model(activity_input(message))) == "unavailable"


async def test_the_end_of_a_turn_is_retried_by_the_orchestrator(app: Services, message: Message) -> None:
    await append_events(app, message.session_id, MessageStart(step=1, attempt=1))
    outage = Outage(app, "run.complete", 1, writes=True)
    ends: Any = activity_input(message, step=0, ends="failed"), DurableClient()

    assert outcome_of(await finish_turn(*ends)) == "unavailable"
    assert outcome_of(await finish_turn(*ends)) == "superseded"

    assert outage.failures == 0
    assert (await load_types(app, message.session_id)).count("run.complete") == 1


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(("activity", "read"), [(call_model, "find"), (run_tool, "get"), (park_turn, "get")])
async def test_an_attempt_whose_session_is_deleted_and_cleared_while_it_waits_has_nothing_to_do(
    message: Message, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, activity: Any, read: str
) -> None:
    app = services()
    load = getattr(app.log, read)

    async def cleared_before(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(app.log, read, load)
        await app.sessions.delete(OWNER, message.session_id, None)
        await app.log.clear(message.session_id)
        return await load(*arguments, **options)

    monkeypatch.setattr(app.log, read, cleared_before)

    clients = [DurableClient()] if activity is park_turn else []
    assert outcome_of(await activity(activity_input(message), *clients)) == "superseded"
    assert caplog.messages == []


async def test_an_error_of_the_program_is_a_reply_and_is_logged(
    app: Services, message: Message, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(app.log, "append", broken)

    assert await call_model(activity_input(message)) == {"outcome": "broken", "call_ids": []}
    assert "call_model failed" in caplog.messages
