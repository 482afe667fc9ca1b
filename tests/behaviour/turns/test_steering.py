"""Turn control in a real log: what interrupting, steering, withdrawing and cancelling append."""

import asyncio
from datetime import timedelta

import pytest

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import (
    LOST_STARTS,
    DurableClient,
    activity_input,
    append_events,
    cancel_turn,
    create_session,
    end_turn,
    load_events,
    load_message,
    load_state,
    load_types,
    outcome_of,
    post_message,
)
from tests.domain.factories import OWNER, TRACE
from turnlog.agents.assistant import ASSISTANT
from turnlog.domain.errors import MessageNotFoundError, NotWaitingError, QueueFullError
from turnlog.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageQueued,
    MessageStart,
    RunHandover,
    ToolCallStart,
)
from turnlog.domain.ids import MessageId, turn_of
from turnlog.domain.stored_documents import Message, Step
from turnlog.domain.values import Failure, OnBusy, ToolCall
from turnlog.orchestrations.activities import call_model, finish_turn, run_tool
from turnlog.ports import ModelClient
from turnlog.scheduler import TurnStart
from turnlog.services.messages import EndOf
from turnlog.services.turns.answers import step_documents
from turnlog.services.turns.cancelling import CancelRequest
from turnlog.services.turns.conversation import load_conversation, recent_messages
from turnlog.services.turns.endings import EndRequest
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

BROKE = Failure(code="model_error", message="It broke.", retryable=True)


@pytest.fixture
async def lead(app: Services) -> Message:
    """A turn whose first step has begun."""
    message = await post_message(app, await create_session(app), "Lead")
    await append_events(app, message.session_id, MessageStart(step=1, attempt=1))
    return message


async def post_busy(app: Services, lead: Message, content: str, on_busy: OnBusy = "steer") -> Message:
    return await post_message(app, lead.session_id, content, on_busy=on_busy)


async def answered(app: Services, lead: Message, step: int, text: str = "Answer", *read: Message) -> None:
    """A step of the turn is recorded."""
    document = await load_message(app, lead)
    recorded = Step(text=text, finish_reason="stop", read=tuple(message.message_id for message in read))
    await append_events(
        app,
        lead.session_id,
        MessageComplete(step=step, attempt=1, text=text, finish_reason="stop"),
        documents=step_documents(document, step, recorded),
    )


async def end(app: Services, lead: Message, end_request: EndRequest) -> TurnStart | None:
    _, start = await end_turn(app, lead, end_request)
    return start


async def current(app: Services, message: Message) -> Message:
    return await app.messages.get(OWNER, message.message_id)


async def queue(app: Services, lead: Message) -> list[str]:
    return [message.content for message in await app.messages.list_queued(OWNER, lead.session_id)]


# Steering


async def test_a_steering_message_enters_the_running_turn(app: Services, lead: Message) -> None:
    message = await post_busy(app, lead, "Steer")

    *_, event = await load_events(app, lead.session_id)
    assert (event.type, event.turn_id, event.message_id, event.sequence) == (
        "user_message",
        lead.turn_id,
        message.id,
        message.sequence,
    )
    assert (message.status, message.turn_id, message.steers) == ("running", lead.turn_id, lead.id)
    assert await queue(app, lead) == []


async def test_a_turn_with_an_unread_message_continues_and_nothing_is_appended(app: Services, lead: Message) -> None:
    await answered(app, lead, 1)
    await post_busy(app, lead, "Steer")
    before = await load_types(app, lead.session_id)

    client = DurableClient()
    finishing = activity_input(lead, step=0, ends="completed", continues_after=1)
    for attempt in (1, 2):
        assert outcome_of(await finish_turn({**finishing, "attempt": attempt}, client)) == "continues"  # pyright: ignore[reportArgumentType]

    assert await load_types(app, lead.session_id) == before
    assert client.started == []


async def test_a_late_end_does_not_end_a_turn_that_has_continued(app: Services, lead: Message) -> None:
    await answered(app, lead, 1)
    await post_busy(app, lead, "Steer")
    await append_events(app, lead.session_id, MessageStart(step=2, attempt=1))

    outcome, _ = await end_turn(app, lead, EndRequest("completed", continues_after=1))

    assert outcome == "continues"
    assert await load_events(app, lead.session_id, "run.complete") == []


@pytest.mark.parametrize(
    "end_request",
    [
        EndRequest("completed"),
        EndRequest("completed", continues_after=1, has_time=False),
        EndRequest("failed", BROKE, continues_after=1),
    ],
    ids=["no step is left", "no time is left", "it failed"],
)
async def test_a_steering_message_is_the_next_turn_if_no_model_call_follows(
    app: Services, lead: Message, end_request: EndRequest
) -> None:
    await answered(app, lead, 1)
    waiting = await post_busy(app, lead, "Waiting", "enqueue")
    first, second = [await post_busy(app, lead, text) for text in ("First", "Second")]

    following = await end(app, lead, end_request)

    own = turn_of(first.message_id)
    assert following is not None
    assert following.turn_id == own
    (chunk,) = await app.log.newest_of_type(lead.session_id, "run.complete", 1)
    entries = [(event.type, event.message_id, event.turn_id) for event in chunk.events if event.type != "error"]
    assert entries == [
        ("message.queued", first.id, own),
        ("message.queued", second.id, turn_of(second.message_id)),
        ("run.complete", lead.id, lead.turn_id),
        ("user_message", first.id, own),
        ("run.start", first.id, own),
    ]
    assert (await load_state(app, lead.session_id)).queue == (second.id, waiting.id)
    begun = await load_message(app, first)
    assert (begun.status, begun.turn_id, begun.steers) == ("running", own, None)
    assert [(await current(app, each)).status for each in (first, second, waiting)] == ["running", "queued", "queued"]


async def test_a_message_that_a_failed_step_had_read_ends_with_its_turn(app: Services, lead: Message) -> None:
    await answered(app, lead, 1)
    message = await post_busy(app, lead, "Steer")
    await append_events(
        app, lead.session_id, MessageStart(step=2, attempt=1), MessageDelta(step=2, attempt=1, text="Half an ans")
    )

    assert await end(app, lead, EndRequest("failed", BROKE)) is None

    ended = await current(app, message)
    assert (ended.status, ended.error, ended.answer) == ("failed", BROKE, "Half an ans")
    assert (await load_message(app, lead)).steps[-1].read == (message.id,)


async def test_a_message_for_a_turn_that_is_stopping_waits_ahead(app: Services, lead: Message) -> None:
    await post_busy(app, lead, "Waiting", "enqueue")
    await cancel_turn(app, lead)

    message = await post_busy(app, lead, "Steer")
    await post_busy(app, lead, "Another")

    assert (message.status, message.turn_id, message.steers) == ("queued", turn_of(message.message_id), None)
    assert await queue(app, lead) == ["Steer", "Another", "Waiting"]


async def test_a_cancel_makes_unread_messages_wait(app: Services, lead: Message) -> None:
    message = await post_busy(app, lead, "Steer")
    await cancel_turn(app, lead)

    (chunk,) = await app.log.newest_of_type(lead.session_id, "message.queued", 1)
    assert [event.type for event in chunk.events] == ["status", "message.queued"]
    moved = chunk.events[1]
    assert isinstance(moved.data, MessageQueued)
    assert (moved.data.on_busy, moved.data.content, moved.turn_id) == ("steer", "Steer", turn_of(message.message_id))
    assert (await current(app, message)).status == "queued"
    assert await queue(app, lead) == ["Steer"]


async def test_after_a_handover_the_turn_continues_after_its_last_step(app: Services, lead: Message) -> None:
    await answered(app, lead, 1)
    await post_busy(app, lead, "Steer")
    await append_events(
        app, lead.session_id, MessageStart(step=2, attempt=1), RunHandover(instance_id=f"{lead.turn_id}~2")
    )

    outcome, _ = await end_turn(app, lead, EndRequest("completed", continues_after=1), generation=2)

    assert outcome == "continues"


async def test_a_client_that_waits_for_a_message_follows_it_from_turn_to_turn(app: Services, lead: Message) -> None:
    message = await post_busy(app, lead, "Steer")
    await cancel_turn(app, lead)
    await end(app, lead, EndRequest("completed"))
    await end_turn(app, await load_message(app, message), EndRequest("completed"))

    is_end = EndOf(message)
    events = await load_events(app, lead.session_id)
    ends = [event for event in events[message.sequence - 1 :] if is_end(event)]
    assert [(event.type, event.message_id) for event in ends] == [("run.complete", message.id)]


# What the model reads


@pytest.mark.usefixtures("model")
async def test_the_next_model_call_reads_it_after_the_answer_before_it(app: Services, model: ModelClient) -> None:
    lead = await post_message(app, await create_session(app), "Lead")
    await post_busy(app, lead, "Next", "enqueue")
    await call_model(activity_input(lead))
    message = await post_busy(app, lead, "Steer")

    await call_model(activity_input(lead, step=2))

    steps = (await load_message(app, lead)).steps
    assert [step.read for step in steps] == [(), (message.id,)]
    assert "“Steer”" in steps[1].text
    assert "given 3 messages" in steps[1].text


@pytest.mark.usefixtures("model")
async def test_a_message_posted_during_a_model_call_is_read_by_the_next(app: Services, model: ModelClient) -> None:
    lead = await post_message(app, await create_session(app), "Lead", model="fake-100-5")
    calling = asyncio.create_task(call_model(activity_input(lead)))
    while "message.start" not in await load_types(app, lead.session_id):  # noqa: ASYNC110 - the start sets no event
        await asyncio.sleep(0.005)
    message = await post_busy(app, lead, "Steer")

    assert outcome_of(await calling) == "done"

    assert (await load_message(app, lead)).steps[0].read == ()
    turn = (await load_state(app, lead.session_id)).active_turn
    assert turn is not None
    assert turn.unread == (message.id,)


@pytest.mark.usefixtures("model")
async def test_a_message_posted_while_tools_run_follows_their_results(app: Services, model: ModelClient) -> None:
    lead = await post_message(app, await create_session(app), 'call calculate {"expression": "6 * 7"}')
    await call_model(activity_input(lead))
    ((call,),) = [step.tool_calls for step in (await load_message(app, lead)).steps]
    message = await post_busy(app, lead, "Steer")
    await run_tool(activity_input(lead, call_id=call.id))
    later = await post_message(app, lead.session_id, "Later", on_busy="enqueue")
    await call_model(activity_input(lead, step=2))

    newest = await recent_messages(app.log, await load_state(app, lead.session_id), ASSISTANT)
    conversation = await load_conversation(app.log, ASSISTANT, newest, await load_message(app, lead))
    (turn,) = conversation.turns
    assert [(step.read, len(step.calls)) for step in turn.steps] == [((), 1), (("Steer",), 0)]
    assert later.status == "queued"
    assert (await load_message(app, lead)).steps[1].read == (message.id,)


# Interrupting


async def test_an_interrupt_stops_the_turn_and_waits_ahead_in_one_write(app: Services, lead: Message) -> None:
    await post_busy(app, lead, "Waiting", "enqueue")
    await post_busy(app, lead, "Unread")
    message = await post_busy(app, lead, "Urgent", "interrupt")

    (chunk,) = await app.log.newest_of_type(lead.session_id, "status", 1)
    assert [event.type for event in chunk.events] == ["status", "message.queued", "message.queued"]
    assert (chunk.last, message.status) == (message.sequence, "queued")
    assert await queue(app, lead) == ["Urgent", "Unread", "Waiting"]
    assert (await load_state(app, lead.session_id)).ui_state == "cancelling"


async def test_a_second_interrupt_stops_nothing_again_and_is_first(app: Services, lead: Message) -> None:
    for text in ("One", "Two"):
        await post_busy(app, lead, text, "interrupt")

    assert len(await load_events(app, lead.session_id, "status")) == 1
    assert await queue(app, lead) == ["Two", "One"]
    following = await end(app, lead, EndRequest("completed"))
    assert following is not None
    assert (await load_message(app, lead)).status == "cancelled"


# Withdrawing


async def test_a_withdrawal_is_one_event_and_leaves_the_rest(app: Services, lead: Message) -> None:
    one, _ = [await post_busy(app, lead, text, "enqueue") for text in ("One", "Two")]

    await app.cancelling.withdraw(OWNER, lead.session_id, one.message_id, TRACE)

    *_, event = await load_events(app, lead.session_id)
    assert (event.type, event.message_id, event.turn_id) == ("message.withdrawn", one.id, one.turn_id)
    assert await queue(app, lead) == ["Two"]
    assert (await current(app, one)).status == "withdrawn"
    listed = (await app.messages.list(OWNER, lead.session_id, after=None, limit=10, newest=True)).messages
    assert [message.status for message in listed] == ["queued", "withdrawn", "running"]


async def test_only_a_waiting_message_is_withdrawn(app: Services, lead: Message) -> None:
    steering = await post_busy(app, lead, "Steer")
    before = await load_types(app, lead.session_id)

    for message in (lead, steering):
        with pytest.raises(NotWaitingError, match="running"):
            await app.cancelling.withdraw(OWNER, lead.session_id, message.message_id, TRACE)
    with pytest.raises(MessageNotFoundError):
        await app.cancelling.withdraw(OWNER, lead.session_id, MessageId("msg_none"), TRACE)

    assert await load_types(app, lead.session_id) == before


async def test_a_cancel_that_clears_the_queue_withdraws_all_in_one_write(app: Services, lead: Message) -> None:
    messages = [await post_busy(app, lead, "Waiting", "enqueue"), await post_busy(app, lead, "Unread")]

    await app.cancelling.cancel(OWNER, lead.session_id, CancelRequest(TRACE, clears_queue=True), LOST_STARTS)

    (chunk,) = await app.log.newest_of_type(lead.session_id, "status", 1)
    assert [event.type for event in chunk.events] == ["status", "message.withdrawn", "message.withdrawn"]
    assert [(await current(app, message)).status for message in messages] == ["withdrawn"] * 2
    assert await end(app, lead, EndRequest("completed")) is None


async def test_a_second_cancel_can_still_clear_the_queue(app: Services, lead: Message) -> None:
    await post_busy(app, lead, "Waiting", "enqueue")
    await cancel_turn(app, lead)

    receipt = await app.cancelling.cancel(OWNER, lead.session_id, CancelRequest(TRACE, clears_queue=True), LOST_STARTS)

    assert receipt.status == "cancelling"
    assert len(await load_events(app, lead.session_id, "status")) == 1
    assert await queue(app, lead) == []


# Limits


async def test_unread_messages_count_as_waiting(app: Services, lead: Message) -> None:
    limit = app.settings.queue_limit
    for number in range(limit):
        await post_busy(app, lead, "x", "steer" if number % 2 else "enqueue")
    before = await load_types(app, lead.session_id)

    kinds: tuple[OnBusy, ...] = ("enqueue", "steer", "interrupt")
    for on_busy in kinds:
        with pytest.raises(QueueFullError):
            await post_busy(app, lead, "x", on_busy)

    assert await load_types(app, lead.session_id) == before


async def test_a_turn_without_time_does_not_continue(app: Services, lead: Message, clock: Clock) -> None:
    await answered(app, lead, 1)
    message = await post_busy(app, lead, "Steer")
    clock.move(timedelta(minutes=16))
    client = DurableClient()

    ended = await finish_turn(activity_input(lead, step=0, ends="completed", continues_after=1), client)  # pyright: ignore[reportArgumentType]

    assert outcome_of(ended) == "done"
    assert [payload["turn_id"] for payload in client.started] == [turn_of(message.message_id)]


async def test_a_message_is_read_at_once_although_tools_run(app: Services, lead: Message) -> None:
    call = ToolCall(id="call_a", name="t", arguments="{}")
    await answered(app, lead, 1)
    await append_events(app, lead.session_id, ToolCallStart(id=call.id, step=1, attempt=1, name="t", arguments="{}"))
    message = await post_busy(app, lead, "Steer")
    await append_events(app, lead.session_id, MessageStart(step=2, attempt=1))

    turn = (await load_state(app, lead.session_id)).active_turn
    assert turn is not None
    assert (turn.reading, turn.unread) == ((message.id,), ())
