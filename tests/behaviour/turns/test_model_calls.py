"""An attempt at a model call: what it records, what it replies, and when it stops."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import (
    activity_input,
    append_events,
    cancel_turn,
    create_session,
    load_events,
    load_message,
    load_state,
    load_types,
    outcome_of,
    post_message,
)
from turnlog.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageStart,
    RunHandover,
    TokenUsage,
)
from turnlog.domain.stored_documents import Message
from turnlog.orchestrations.activities import call_model
from turnlog.orchestrations.contracts import Reply
from turnlog.wiring import Services

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("model")]

CALCULATE = 'call calculate {"expression": "1 + 1"} and use current_time'


@pytest.fixture
async def message(app: Services, request: pytest.FixtureRequest) -> Message:
    """A turn with the model that `with_model` names; by default with a model that answers at once."""
    return await post_message(app, await create_session(app), model=getattr(request, "param", "fake-20-0"))


def with_model(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("message", [name], indirect=True)


async def text_of(app: Services, message: Message, attempt: int = 1) -> str:
    """The text of an attempt that readers have."""
    deltas = [event.data for event in await load_events(app, message.session_id, "message.delta")]
    return "".join(data.text for data in deltas if isinstance(data, MessageDelta) and data.attempt == attempt)


async def completion(app: Services, message: Message) -> MessageComplete:
    (event,) = await load_events(app, message.session_id, "message.complete")
    assert isinstance(event.data, MessageComplete)
    return event.data


async def requests(app: Services, model: str) -> dict[str, int]:
    """What the model's server counted for `model`."""
    async with httpx2.AsyncClient(timeout=60) as http:
        stats = (await http.get(str(app.settings.openai_base_url).removesuffix("/v1") + "/stats")).json()
    return stats["models"].get(model, {"requests": 0, "aborted": 0, "active": 0})


async def until(read: Callable[[], Any], is_good: Callable[[Any], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_good(await read()):  # noqa: ASYNC110 - the change sets no event
            await asyncio.sleep(0.005)


async def test_an_answer_is_written_while_it_arrives_and_ends_the_turn(app: Services, message: Message) -> None:
    reply = await call_model(activity_input(message))

    assert reply == Reply[str](outcome="ended").dump()
    types = await load_types(app, message.session_id)
    assert types[3] == "message.start"
    assert set(types[4:-3]) == {"message.delta"}
    assert types[-3:] == ["message.complete", "token_usage", "run.complete"]
    complete = await completion(app, message)
    assert (complete.text, complete.partial, complete.finish_reason) == (await text_of(app, message), False, "stop")
    stored = await load_message(app, message)
    assert (stored.answer, stored.status, stored.usage.completion_tokens) == (complete.text, "completed", 20)
    (response,) = await app.messages.responses(stored)
    assert response["choices"][0]["message"]["content"] == complete.text
    assert response["object"] == "chat.completion"


async def test_events_carry_their_turn_and_trace(app: Services, message: Message) -> None:
    await call_model(activity_input(message))

    events = (await load_events(app, message.session_id))[1:]
    assert {(event.turn_id, event.message_id, event.trace_id) for event in events} == {
        (message.turn_id, message.id, message.trace_id)
    }


async def test_the_first_words_are_written_before_the_answer_is_whole(app: Services) -> None:
    message = await post_message(app, await create_session(app), model="hang-3")
    running = asyncio.create_task(call_model(activity_input(message)))
    await until(lambda: text_of(app, message), bool)
    await cancel_turn(app, message)

    assert outcome_of(await running) == "cancelled"


@with_model("fake-7-1")
async def test_an_attempt_that_runs_twice_calls_the_model_once_and_replies_the_same(
    app: Services, message: Message
) -> None:
    await post_message(app, message.session_id, "Next")
    first = await call_model(activity_input(message))

    assert outcome_of(first) == "done"
    assert await call_model(activity_input(message)) == first
    assert await call_model(activity_input(message, attempt=2)) == first
    assert (await requests(app, "fake-7-1"))["requests"] == 1


@with_model("fake-7-4")
async def test_an_attempt_that_runs_again_after_it_ended_the_turn_changes_nothing(
    app: Services, message: Message
) -> None:
    await call_model(activity_input(message))
    before = await load_events(app, message.session_id)

    assert outcome_of(await call_model(activity_input(message))) == "superseded"
    assert outcome_of(await call_model(activity_input(message, attempt=2))) == "superseded"
    assert await load_events(app, message.session_id) == before
    assert (await requests(app, "fake-7-4"))["requests"] == 1


@with_model("fake-7-2")
async def test_several_executions_of_an_attempt_call_the_model_once(app: Services, message: Message) -> None:
    replies = await asyncio.gather(*(call_model(activity_input(message)) for _ in range(5)))

    assert sorted(map(outcome_of, replies)) == ["ended", *["superseded"] * 4]
    assert (await requests(app, "fake-7-2"))["requests"] == 1
    assert len(await load_events(app, message.session_id, "message.start")) == 1


async def test_requested_tool_calls_get_ids_of_the_turn(app: Services) -> None:
    message = await post_message(app, await create_session(app), CALCULATE)
    reply = await call_model(activity_input(message))

    ids = [f"call_{message.turn_id[5:]}_1_{index}" for index in (0, 1)]
    assert reply == Reply[str](outcome="tools", call_ids=ids).dump()
    (step,) = (await load_message(app, message)).steps
    assert [(call.id, call.name, call.arguments) for call in step.tool_calls] == [
        (ids[0], "calculate", '{"expression": "1 + 1"}'),
        (ids[1], "current_time", "{}"),
    ]
    assert await call_model(activity_input(message)) == reply


async def test_in_the_last_step_the_model_requests_no_tools(app: Services) -> None:
    message = await post_message(app, await create_session(app), CALCULATE)

    assert outcome_of(await call_model(activity_input(message, last_step=True))) == "ended"


@with_model("nousage-3")
async def test_usage_is_recorded_only_if_the_server_reports_it(app: Services, message: Message) -> None:
    await call_model(activity_input(message))

    assert await load_events(app, message.session_id, "token_usage") == []


async def test_usage_holds_the_number_of_the_call_in_its_turn(app: Services, message: Message) -> None:
    used = TokenUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2, model="m", agent="assistant", iteration=1)
    await append_events(app, message.session_id, used)
    await call_model(activity_input(message))

    last = (await load_events(app, message.session_id, "token_usage"))[-1].data
    assert isinstance(last, TokenUsage)
    assert (last.iteration, last.completion_tokens, last.agent) == (2, 20, "assistant")


@with_model("fake-7-3")
async def test_a_turn_cancelled_before_its_call_never_calls_the_model(app: Services, message: Message) -> None:
    await cancel_turn(app, message)

    assert outcome_of(await call_model(activity_input(message))) == "cancelled"
    assert (await requests(app, "fake-7-3"))["requests"] == 0


@pytest.mark.parametrize("name", ["hang-4", "mute-61"])
async def test_a_cancel_aborts_the_request_and_keeps_the_text_so_far(app: Services, name: str) -> None:
    message = await post_message(app, await create_session(app), model=name)
    running = asyncio.create_task(call_model(activity_input(message)))
    await until(lambda: requests(app, name), lambda stats: stats["active"] == 1)
    if name == "hang-4":
        await until(lambda: text_of(app, message), bool)
    await cancel_turn(app, message)

    assert outcome_of(await running) == "cancelled"
    await until(lambda: requests(app, name), lambda stats: stats["active"] == 0 and stats["aborted"] == 1)
    complete = await completion(app, message)
    assert complete.partial
    assert complete.text == await text_of(app, message)
    assert len(complete.text.split()) == (4 if name == "hang-4" else 0)
    assert (await load_message(app, message)).steps[0].text == complete.text


@pytest.mark.parametrize(
    ("name", "code"), [("cut-3", "model_broke_off"), ("garbage-3", "model_broke_off"), ("error-3", "model_error")]
)
async def test_an_answer_that_breaks_off_is_worth_another_attempt(app: Services, name: str, code: str) -> None:
    message = await post_message(app, await create_session(app), model=name)
    reply = Reply[str].model_validate(await call_model(activity_input(message)))

    assert reply.failure is not None
    assert (reply.outcome, reply.failure.code, reply.failure.retryable) == ("retry", code, True)
    assert len((await text_of(app, message)).split()) == 3
    await call_model(activity_input(message, attempt=2))
    starts = [event.data for event in await load_events(app, message.session_id, "message.start")]
    assert starts == [MessageStart(step=1, attempt=attempt) for attempt in (1, 2)]


@pytest.mark.parametrize(("name", "code"), [("fail-401", "model_unauthorized"), ("fail-404", "model_not_found")])
async def test_a_model_that_refuses_fails_the_turn(app: Services, name: str, code: str) -> None:
    message = await post_message(app, await create_session(app), model=name)
    reply = Reply[str].model_validate(await call_model(activity_input(message)))

    assert reply.failure is not None
    assert (reply.outcome, reply.failure.code, reply.failure.retryable) == ("failed", code, False)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot answer is called again at once."""
    monkeypatch.setattr("turnlog.services.turns.model_retries._PAUSES", (0.0,))


@with_model("fail-503")
@pytest.mark.usefixtures("impatient")
async def test_a_server_that_cannot_answer_four_times_fails_the_turn(app: Services, message: Message) -> None:
    before = (await requests(app, "fail-503"))["requests"]
    reply = Reply[str].model_validate(await call_model(activity_input(message)))

    assert reply.failure is not None
    assert (reply.outcome, reply.failure.code, reply.failure.retryable) == ("failed", "model_unavailable", True)
    assert (await requests(app, "fail-503"))["requests"] == before + 4


@with_model("flaky-1-here")
@pytest.mark.usefixtures("impatient")
async def test_a_server_that_cannot_answer_is_called_again_before_the_first_text(
    app: Services, message: Message
) -> None:
    assert outcome_of(await call_model(activity_input(message))) == "ended"

    assert (await requests(app, "flaky-1-here"))["requests"] == 2
    assert len(await load_events(app, message.session_id, "message.start")) == 1


@with_model("hang-5")
async def test_a_call_ends_with_its_turns_deadline(app: Services, message: Message, clock: Clock) -> None:
    deadline = clock.now() + timedelta(seconds=0.1)
    reply = Reply[str].model_validate(await call_model(activity_input(message, deadline=deadline)))

    assert reply.failure is not None
    assert (reply.outcome, reply.failure.code) == ("failed", "turn_timeout")
    await until(lambda: requests(app, "hang-5"), lambda stats: stats["active"] == 0)


@with_model("hang-6")
async def test_a_call_stops_when_a_later_attempt_begins_and_appends_nothing_more(
    app: Services, message: Message
) -> None:
    running = asyncio.create_task(call_model(activity_input(message)))
    await until(lambda: text_of(app, message), bool)
    await append_events(app, message.session_id, MessageStart(step=1, attempt=2))

    assert outcome_of(await running) == "superseded"
    assert (await load_types(app, message.session_id))[-1] == "message.start"
    await until(lambda: requests(app, "hang-6"), lambda stats: stats["aborted"] == 1)


async def test_an_instance_that_lost_its_turn_calls_no_model(app: Services, message: Message) -> None:
    await append_events(app, message.session_id, RunHandover(instance_id=f"{message.turn_id}~2"))

    assert outcome_of(await call_model(activity_input(message))) == "superseded"
    instance = f"{message.turn_id}~2"
    assert outcome_of(await call_model(activity_input(message, instance_id=instance))) == "ended"


async def test_outside_events_and_queued_messages_do_not_disturb_a_call(app: Services) -> None:
    message = await post_message(app, await create_session(app), model="fake-30-2")
    running = asyncio.create_task(call_model(activity_input(message)))
    for number in range(5):
        await app.outside_events.append("me", message.session_id, [("note", {"number": number})], "trace")
        await post_message(app, message.session_id, f"Next {number}")

    assert outcome_of(await running) == "done"
    assert (await completion(app, message)).text == await text_of(app, message)
    assert len((await load_state(app, message.session_id)).queue) == 5
