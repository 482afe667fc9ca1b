"""Turn control in a real log: what interrupting, steering, withdrawing and cancelling append."""

import asyncio
from datetime import timedelta

import pytest

from orchestrations.activities import call_model, finish_turn, run_tool
from shared.agents.assistant import ASSISTANT
from shared.domain.documents import Message, Step
from shared.domain.errors import MessageNotFoundError, NotWaitingError, QueueFullError
from shared.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageQueued,
    MessageStart,
    RunHandover,
    ToolCallStart,
)
from shared.domain.ids import MessageId, turn_of
from shared.domain.values import Failure, OnBusy, ToolCall
from shared.ports import ModelClient
from shared.scheduler import TurnStart
from shared.services.messages import EndOf
from shared.services.turns.cancelling import CancelRequest
from shared.services.turns.conversation import conversation, recent_messages
from shared.services.turns.endings import EndRequest
from shared.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.telling import (
    LOST_STARTS,
    OWNER,
    TRACE,
    Client,
    appended,
    cancelled,
    end_turn,
    events_of,
    kept,
    opened,
    outcome,
    posted,
    state_of,
    types_of,
    work,
)

pytestmark = pytest.mark.anyio

BROKE = Failure(code="model_error", message="It broke.", retryable=True)


@pytest.fixture
async def lead(on: Services) -> Message:
    """A turn whose first step has begun."""
    message = await posted(on, await opened(on), "Lead")
    await appended(on, message.session_id, MessageStart(step=1, attempt=1))
    return message


async def post_busy(on: Services, lead: Message, content: str, on_busy: OnBusy = "steer") -> Message:
    return await posted(on, lead.session_id, content, on_busy=on_busy)


async def answered(on: Services, lead: Message, step: int, text: str = "Answer", *read: Message) -> None:
    """A step of the turn is recorded."""
    document = await kept(on, lead)
    recorded = Step(text=text, finish_reason="stop", read=tuple(message.message_id for message in read))
    document = document.model_copy(update={"steps": (*document.steps, recorded)})
    await appended(
        on,
        lead.session_id,
        MessageComplete(step=step, attempt=1, text=text, finish_reason="stop"),
        documents=(document,),
    )


async def end(on: Services, lead: Message, request: EndRequest) -> TurnStart | None:
    _, start = await end_turn(on, lead, request)
    return start


async def current(on: Services, message: Message) -> Message:
    return await on.messages.get(OWNER, message.message_id)


async def queue(on: Services, lead: Message) -> list[str]:
    return [message.content for message in await on.messages.list_queued(OWNER, lead.session_id)]


# Steering


async def test_a_steering_message_enters_the_running_turn(on: Services, lead: Message) -> None:
    message = await post_busy(on, lead, "Steer")

    *_, event = await events_of(on, lead.session_id)
    assert (event.type, event.turn_id, event.message_id, event.sequence) == (
        "user_message",
        lead.turn_id,
        message.id,
        message.sequence,
    )
    assert (message.status, message.turn_id, message.steers) == ("running", lead.turn_id, lead.id)
    assert await queue(on, lead) == []


async def test_a_turn_with_an_unread_message_continues_and_nothing_is_appended(on: Services, lead: Message) -> None:
    await answered(on, lead, 1)
    await post_busy(on, lead, "Steer")
    before = await types_of(on, lead.session_id)

    client = Client()
    finishing = work(lead, step=0, ends="completed", continues_after=1)
    for attempt in (1, 2):
        assert outcome(await finish_turn({**finishing, "attempt": attempt}, client)) == "continues"  # pyright: ignore[reportArgumentType]

    assert await types_of(on, lead.session_id) == before
    assert client.started == []


async def test_a_late_end_does_not_end_a_turn_that_has_continued(on: Services, lead: Message) -> None:
    await answered(on, lead, 1)
    await post_busy(on, lead, "Steer")
    await appended(on, lead.session_id, MessageStart(step=2, attempt=1))

    outcome, _ = await end_turn(on, lead, EndRequest("completed", continues_after=1))

    assert outcome == "continues"
    assert await events_of(on, lead.session_id, "run.complete") == []


@pytest.mark.parametrize(
    "verdict",
    [
        EndRequest("completed"),
        EndRequest("completed", continues_after=1, has_time=False),
        EndRequest("failed", BROKE, continues_after=1),
    ],
    ids=["no step is left", "no time is left", "it failed"],
)
async def test_a_steering_message_is_the_next_turn_if_no_model_call_follows(
    on: Services, lead: Message, request: EndRequest
) -> None:
    await answered(on, lead, 1)
    waiting = await post_busy(on, lead, "Waiting", "enqueue")
    first, second = [await post_busy(on, lead, text) for text in ("First", "Second")]

    following = await end(on, lead, request)

    own = turn_of(first.message_id)
    assert following is not None
    assert following.turn_id == own
    (chunk,) = await on.log.newest_of_type(lead.session_id, "run.complete", 1)
    entries = [(event.type, event.message_id, event.turn_id) for event in chunk.events if event.type != "error"]
    assert entries == [
        ("message.queued", first.id, own),
        ("message.queued", second.id, turn_of(second.message_id)),
        ("run.complete", lead.id, lead.turn_id),
        ("user_message", first.id, own),
        ("run.start", first.id, own),
    ]
    assert (await state_of(on, lead.session_id)).queue == (second.id, waiting.id)
    begun = await kept(on, first)
    assert (begun.status, begun.turn_id, begun.steers) == ("running", own, None)
    assert [(await current(on, each)).status for each in (first, second, waiting)] == ["running", "queued", "queued"]


async def test_a_message_that_a_failed_step_had_read_ends_with_its_turn(on: Services, lead: Message) -> None:
    await answered(on, lead, 1)
    message = await post_busy(on, lead, "Steer")
    await appended(
        on, lead.session_id, MessageStart(step=2, attempt=1), MessageDelta(step=2, attempt=1, text="Half an ans")
    )

    assert await end(on, lead, EndRequest("failed", BROKE)) is None

    ended = await current(on, message)
    assert (ended.status, ended.error, ended.answer) == ("failed", BROKE, "Half an ans")
    assert (await kept(on, lead)).steps[-1].read == (message.id,)


async def test_a_message_for_a_turn_that_is_stopping_waits_ahead(on: Services, lead: Message) -> None:
    await post_busy(on, lead, "Waiting", "enqueue")
    await cancelled(on, lead)

    message = await post_busy(on, lead, "Steer")
    await post_busy(on, lead, "Another")

    assert (message.status, message.turn_id, message.steers) == ("queued", turn_of(message.message_id), None)
    assert await queue(on, lead) == ["Steer", "Another", "Waiting"]


async def test_a_cancel_makes_unread_messages_wait(on: Services, lead: Message) -> None:
    message = await post_busy(on, lead, "Steer")
    await cancelled(on, lead)

    (chunk,) = await on.log.newest_of_type(lead.session_id, "message.queued", 1)
    assert [event.type for event in chunk.events] == ["status", "message.queued"]
    moved = chunk.events[1]
    assert isinstance(moved.data, MessageQueued)
    assert (moved.data.on_busy, moved.data.content, moved.turn_id) == ("steer", "Steer", turn_of(message.message_id))
    assert (await current(on, message)).status == "queued"
    assert await queue(on, lead) == ["Steer"]


async def test_after_a_handover_the_turn_continues_after_its_last_step(on: Services, lead: Message) -> None:
    await answered(on, lead, 1)
    await post_busy(on, lead, "Steer")
    await appended(on, lead.session_id, MessageStart(step=2, attempt=1), RunHandover(instance_id=f"{lead.turn_id}~2"))

    outcome, _ = await end_turn(on, lead, EndRequest("completed", continues_after=1), generation=2)

    assert outcome == "continues"


async def test_a_client_that_waits_for_a_message_follows_it_from_turn_to_turn(on: Services, lead: Message) -> None:
    message = await post_busy(on, lead, "Steer")
    await cancelled(on, lead)
    await end(on, lead, EndRequest("completed"))
    await end_turn(on, await kept(on, message), EndRequest("completed"))

    is_end = EndOf(message)
    events = await events_of(on, lead.session_id)
    ends = [event for event in events[message.sequence - 1 :] if is_end(event)]
    assert [(event.type, event.message_id) for event in ends] == [("run.complete", message.id)]


# What the model reads


@pytest.mark.usefixtures("model")
async def test_the_next_model_call_reads_it_after_the_answer_before_it(on: Services, model: ModelClient) -> None:
    lead = await posted(on, await opened(on), "Lead")
    await post_busy(on, lead, "Next", "enqueue")
    await call_model(work(lead))
    message = await post_busy(on, lead, "Steer")

    await call_model(work(lead, step=2))

    steps = (await kept(on, lead)).steps
    assert [step.read for step in steps] == [(), (message.id,)]
    assert "“Steer”" in steps[1].text
    assert "given 3 messages" in steps[1].text


@pytest.mark.usefixtures("model")
async def test_a_message_posted_during_a_model_call_is_read_by_the_next(on: Services, model: ModelClient) -> None:
    lead = await posted(on, await opened(on), "Lead", model="fake-100-5")
    calling = asyncio.create_task(call_model(work(lead)))
    while "message.start" not in await types_of(on, lead.session_id):  # noqa: ASYNC110 - the start sets no event
        await asyncio.sleep(0.005)
    message = await post_busy(on, lead, "Steer")

    assert outcome(await calling) == "done"

    assert (await kept(on, lead)).steps[0].read == ()
    turn = (await state_of(on, lead.session_id)).active_turn
    assert turn is not None
    assert turn.unread == (message.id,)


@pytest.mark.usefixtures("model")
async def test_a_message_posted_while_tools_run_follows_their_results(on: Services, model: ModelClient) -> None:
    lead = await posted(on, await opened(on), 'call calculate {"expression": "6 * 7"}')
    await call_model(work(lead))
    ((call,),) = [step.tool_calls for step in (await kept(on, lead)).steps]
    message = await post_busy(on, lead, "Steer")
    await run_tool(work(lead, call_id=call.id))
    later = await posted(on, lead.session_id, "Later", on_busy="enqueue")
    await call_model(work(lead, step=2))

    newest = await recent_messages(on.log, lead.session_id, ASSISTANT)
    entries = await conversation(on.log, ASSISTANT, newest, await kept(on, lead))
    assert [entry["role"] for entry in entries] == ["system", "user", "assistant", "tool", "user", "assistant"]
    assert entries[4]["content"] == "Steer"
    assert later.status == "queued"
    assert (await kept(on, lead)).steps[1].read == (message.id,)


# Interrupting


async def test_an_interrupt_stops_the_turn_and_waits_ahead_in_one_write(on: Services, lead: Message) -> None:
    await post_busy(on, lead, "Waiting", "enqueue")
    await post_busy(on, lead, "Unread")
    message = await post_busy(on, lead, "Urgent", "interrupt")

    (chunk,) = await on.log.newest_of_type(lead.session_id, "status", 1)
    assert [event.type for event in chunk.events] == ["status", "message.queued", "message.queued"]
    assert (chunk.last, message.status) == (message.sequence, "queued")
    assert await queue(on, lead) == ["Urgent", "Unread", "Waiting"]
    assert (await state_of(on, lead.session_id)).ui_state == "cancelling"


async def test_a_second_interrupt_stops_nothing_again_and_is_first(on: Services, lead: Message) -> None:
    for text in ("One", "Two"):
        await post_busy(on, lead, text, "interrupt")

    assert len(await events_of(on, lead.session_id, "status")) == 1
    assert await queue(on, lead) == ["Two", "One"]
    following = await end(on, lead, EndRequest("completed"))
    assert following is not None
    assert (await kept(on, lead)).status == "cancelled"


# Withdrawing


async def test_a_withdrawal_is_one_event_and_leaves_the_rest(on: Services, lead: Message) -> None:
    one, _ = [await post_busy(on, lead, text, "enqueue") for text in ("One", "Two")]

    await on.control.withdraw(OWNER, lead.session_id, one.message_id, TRACE)

    *_, event = await events_of(on, lead.session_id)
    assert (event.type, event.message_id, event.turn_id) == ("message.withdrawn", one.id, one.turn_id)
    assert await queue(on, lead) == ["Two"]
    assert (await current(on, one)).status == "withdrawn"
    listed = await on.messages.list(OWNER, lead.session_id, after=None, limit=10, newest=True)
    assert [message.status for message in listed] == ["queued", "withdrawn", "running"]


async def test_only_a_waiting_message_is_withdrawn(on: Services, lead: Message) -> None:
    steering = await post_busy(on, lead, "Steer")
    before = await types_of(on, lead.session_id)

    for message in (lead, steering):
        with pytest.raises(NotWaitingError, match="running"):
            await on.control.withdraw(OWNER, lead.session_id, message.message_id, TRACE)
    with pytest.raises(MessageNotFoundError):
        await on.control.withdraw(OWNER, lead.session_id, MessageId("msg_none"), TRACE)

    assert await types_of(on, lead.session_id) == before


async def test_a_cancel_that_clears_the_queue_withdraws_all_in_one_write(on: Services, lead: Message) -> None:
    messages = [await post_busy(on, lead, "Waiting", "enqueue"), await post_busy(on, lead, "Unread")]

    await on.control.cancel(OWNER, lead.session_id, CancelRequest(TRACE, clears_queue=True), LOST_STARTS)

    (chunk,) = await on.log.newest_of_type(lead.session_id, "status", 1)
    assert [event.type for event in chunk.events] == ["status", "message.withdrawn", "message.withdrawn"]
    assert [(await current(on, message)).status for message in messages] == ["withdrawn"] * 2
    assert await end(on, lead, EndRequest("completed")) is None


async def test_a_second_cancel_can_still_clear_the_queue(on: Services, lead: Message) -> None:
    await post_busy(on, lead, "Waiting", "enqueue")
    await cancelled(on, lead)

    receipt = await on.control.cancel(OWNER, lead.session_id, CancelRequest(TRACE, clears_queue=True), LOST_STARTS)

    assert receipt.status == "cancelling"
    assert len(await events_of(on, lead.session_id, "status")) == 1
    assert await queue(on, lead) == []


# Limits


async def test_unread_messages_count_as_waiting(on: Services, lead: Message) -> None:
    limit = on.settings.queue_limit
    for number in range(limit):
        await post_busy(on, lead, "x", "steer" if number % 2 else "enqueue")
    before = await types_of(on, lead.session_id)

    kinds: tuple[OnBusy, ...] = ("enqueue", "steer", "interrupt")
    for on_busy in kinds:
        with pytest.raises(QueueFullError):
            await post_busy(on, lead, "x", on_busy)

    assert await types_of(on, lead.session_id) == before


async def test_a_turn_without_time_does_not_continue(on: Services, lead: Message, clock: Clock) -> None:
    await answered(on, lead, 1)
    message = await post_busy(on, lead, "Steer")
    clock.move(timedelta(minutes=16))
    client = Client()

    ended = await finish_turn(work(lead, step=0, ends="completed", continues_after=1), client)  # pyright: ignore[reportArgumentType]

    assert outcome(ended) == "done"
    assert [payload["turn_id"] for payload in client.started] == [turn_of(message.message_id)]


async def test_a_message_is_read_at_once_although_tools_run(on: Services, lead: Message) -> None:
    call = ToolCall(id="call_a", name="t", arguments="{}")
    await answered(on, lead, 1)
    await appended(on, lead.session_id, ToolCallStart(id=call.id, step=1, attempt=1, name="t", arguments="{}"))
    message = await post_busy(on, lead, "Steer")
    await appended(on, lead.session_id, MessageStart(step=2, attempt=1))

    turn = (await state_of(on, lead.session_id)).active_turn
    assert turn is not None
    assert (turn.reading, turn.unread) == ((message.id,), ())
