"""What a model reads of the conversation: every message, as a valid request."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.domain.factories import SESSION, THEN, new_state
from tests.domain.media import content_of, picture, picture_of, text
from turnlog.agents.assistant import ASSISTANT
from turnlog.agents.declaration import Agent
from turnlog.domain.content import bytes_stored, content_text
from turnlog.domain.conversation import ConversationTurn
from turnlog.domain.ids import MessageId, TurnId
from turnlog.domain.stored_documents import Message, MessageParts, Step, ToolResult
from turnlog.domain.values import MessageStatus, ToolCall, ToolOutcome
from turnlog.services.turns.answers import step_documents
from turnlog.services.turns.conversation import load_conversation, recent_messages
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio


async def store_message(
    app: Services, number: int, content: str, *steps: Step, status: MessageStatus = "completed"
) -> Message:
    """Store a message with the sequence `number`, and its steps."""
    message = Message(
        id=f"msg_{number:026}_{SESSION}",
        sequence=number,
        session_id=SESSION,
        turn_id=TurnId(f"turn_{number:026}"),
        content=content,
        steps=steps,
        step_count=len(steps),
        status=status,
        agent="assistant",
        model="m",
        created_at=THEN + timedelta(seconds=number),
    )
    await app.log.put(SESSION, message)
    for step_number, step in enumerate(steps, start=1):
        for document in step_documents(message, step_number, step):
            await app.log.put(SESSION, document)
    return message


async def store_result(app: Services, number: int, call_id: str, response: Any) -> None:
    outcome = ToolOutcome(status="completed", response=response)
    message_id = MessageId(f"msg_{number:026}_{SESSION}")
    result = ToolResult(
        id=call_id, sequence=number, message_id=message_id, step=1, name="t", arguments="{}", outcome=outcome
    )
    await app.log.put(SESSION, result)


async def entries_for(app: Services, current: Message, agent: Agent = ASSISTANT) -> list[Any]:
    """What the model reads after the instructions: role and text, or a step with its calls and their results."""
    newest = await recent_messages(app.log, new_state(), agent)
    conversation = await load_conversation(app.log, agent, newest, current)
    assert conversation.instructions == agent.instructions
    return [entry for turn in conversation.turns for entry in _entries(turn)]


def _entries(turn: ConversationTurn) -> Iterator[Any]:
    yield ("user", turn.content)
    for step in turn.steps:
        yield from (("user", text) for text in step.read)
        if step.calls:
            yield called(*((answered.call.id, answered.result) for answered in step.calls), text=step.text)
        else:
            yield ("assistant", step.text)


def calling(*call_ids: str, text: str = "") -> Step:
    return Step(text=text, tool_calls=tuple(ToolCall(id=each, name="t", arguments='{"x": 1}') for each in call_ids))


def called(*results: tuple[str, str | None], text: str = "") -> tuple[str, str, dict[str, str | None]]:
    return ("assistant", text, dict(results))


async def test_a_first_message_follows_the_agents_instructions(app: Services) -> None:
    assert await entries_for(app, await store_message(app, 1, "Hello", status="running")) == [("user", "Hello")]


async def test_earlier_messages_come_with_their_answers_oldest_first(app: Services) -> None:
    await store_message(app, 1, "One", Step(text="First"))
    await store_message(app, 3, "Two", Step(text="Second"))
    current = await store_message(app, 5, "Three", status="running")

    assert await entries_for(app, current) == [
        ("user", "One"),
        ("assistant", "First"),
        ("user", "Two"),
        ("assistant", "Second"),
        ("user", "Three"),
    ]


async def test_tool_calls_come_with_their_results_in_the_order_of_the_request(app: Services) -> None:
    current = await store_message(app, 1, "Do it", calling("a", "b", text="Wait."), status="running")
    await store_result(app, 1, "b", {"é": 1})
    await store_result(app, 1, "a", "text")

    assert await entries_for(app, current) == [
        ("user", "Do it"),
        called(("a", "text"), ("b", '{"é": 1}'), text="Wait."),
    ]


async def test_results_of_earlier_messages_are_included(app: Services) -> None:
    await store_message(app, 1, "One", calling("a"), Step(text="First"))
    await store_result(app, 1, "a", 7)
    current = await store_message(app, 3, "Two", status="running")

    assert called(("a", "7")) in await entries_for(app, current)


async def test_a_call_without_an_answer_is_read_as_such(app: Services) -> None:
    await store_message(app, 1, "One", calling("a", "b"), status="failed")
    await store_result(app, 1, "a", 7)
    current = await store_message(app, 3, "Two", status="running")

    assert await entries_for(app, current) == [
        ("user", "One"),
        called(("a", "7"), ("b", None)),
        ("user", "Two"),
    ]


async def test_a_partial_answer_is_included(app: Services) -> None:
    await store_message(app, 1, "One", Step(text="Half an"), status="cancelled")
    current = await store_message(app, 3, "Two", status="running")

    assert ("assistant", "Half an") in await entries_for(app, current)


async def test_all_results_of_turns_with_many_calls_are_read(app: Services) -> None:
    for number in range(1, 4):
        calls = [f"call_{number}_{index:04}" for index in range(800)]
        await store_message(app, number, "Go", calling(*calls))
        for call in calls:
            await store_result(app, number, call, 1)
    current = await store_message(app, 9, "Now", status="running")

    entries = await entries_for(app, current, replace(ASSISTANT, memory_bytes=10_000_000))

    assert [result for entry in entries if len(entry) == 3 for result in entry[2].values()] == ["1"] * 2400


async def test_an_agent_reads_as_many_bytes_as_it_remembers(app: Services) -> None:
    for number in range(1, 6):
        await store_message(app, number, f"Message {number} {'x' * 1000}", Step(text="ok"))
    current = await store_message(app, 6, "Now", status="running")
    size = len(ASSISTANT.instructions.encode())

    entries = await entries_for(app, current, replace(ASSISTANT, memory_bytes=size + 2500))

    assert [text[:9] for role, text in entries if role == "user"] == ["Message 4", "Message 5", "Now"]


@pytest.mark.parametrize("status", ["queued", "withdrawn"])
async def test_waiting_and_withdrawn_messages_are_left_out(app: Services, status: MessageStatus) -> None:
    await store_message(app, 2, "Not store_message", status=status)
    current = await store_message(app, 5, "Now", status="running")

    assert await entries_for(app, current) == [("user", "Now")]


async def test_later_messages_are_left_out(app: Services) -> None:
    current = await store_message(app, 1, "Now", status="running")
    await store_message(app, 2, "Later", status="running")

    assert await entries_for(app, current) == [("user", "Now")]


async def test_an_agent_reads_as_many_messages_as_it_remembers(app: Services) -> None:
    for number in range(1, 6):
        await store_message(app, number, f"Message {number}", Step(text="ok"))
    current = await store_message(app, 6, "Now", status="running")
    agent = replace(ASSISTANT, memory_messages=3)

    users = [text for role, text in await entries_for(app, current, agent) if role == "user"]
    assert users == ["Message 4", "Message 5", "Now"]


async def test_the_current_message_is_read_in_its_newest_form(app: Services) -> None:
    stored = await store_message(app, 1, "Do it", status="running")
    current = stored.model_copy(update={"steps": (Step(text="Thinking."),)})

    assert await entries_for(app, current) == [("user", "Do it"), ("assistant", "Thinking.")]


async def store_parts(app: Services, message: Message, *parts: dict[str, Any]) -> Message:
    """Give a stored message the content `parts`."""
    content = content_of(*parts)
    assert not isinstance(content, str)
    changes = {"content": content_text(content), "parts_bytes": bytes_stored(content)}
    await app.log.put(SESSION, MessageParts(id=message.id, sequence=message.sequence, parts=content))
    await app.log.put(SESSION, changed := message.model_copy(update=changes))
    return changed


async def test_pictures_of_earlier_and_of_the_current_message_are_read(app: Services) -> None:
    earlier, now = [text("One"), picture()], [picture(), text("Two")]
    await store_parts(app, await store_message(app, 1, "", Step(text="ok")), *earlier)
    current = await store_parts(app, await store_message(app, 2, "", status="running"), *now)

    assert await entries_for(app, current) == [
        ("user", content_of(*earlier)),
        ("assistant", "ok"),
        ("user", content_of(*now)),
    ]


async def test_only_the_newest_pictures_are_read_and_older_ones_are_named(app: Services) -> None:
    large = [picture_of(1_000_000), text("Look")]
    for number in range(1, 6):
        await store_parts(app, await store_message(app, number, "", Step(text="ok")), *large)
    current = await store_message(app, 6, "Now", status="running")

    users = [content for role, content in await entries_for(app, current) if role == "user"]

    assert users == ["[picture]\nLook", *[content_of(*large)] * 4, "Now"]


async def test_a_message_whose_parts_are_cleared_is_read_as_text(app: Services) -> None:
    stored = await store_message(app, 1, "[picture]", status="running")
    current = stored.model_copy(update={"parts_bytes": 100})

    assert await entries_for(app, current) == [("user", "[picture]")]


async def test_a_steering_message_is_read_with_its_pictures(app: Services) -> None:
    read = await store_steering(app, 2, "", 1)
    steering = await app.log.get(Message, SESSION, read)
    assert steering is not None
    await store_parts(app, steering, picture())
    current = await store_message(app, 1, "One", Step(text="First"), status="running")

    newest = await recent_messages(app.log, new_state(), ASSISTANT)
    conversation = await load_conversation(app.log, ASSISTANT, newest, current, (read,))

    assert conversation.reading == (content_of(picture()),)


async def store_steering(app: Services, number: int, content: str, into: int) -> MessageId:
    """Store a message that was store_steering into the turn of the message with the sequence `into`."""
    message = await store_message(app, number, content, status="running")
    lead = MessageId(f"msg_{into:026}_{SESSION}")
    await app.log.put(SESSION, message.model_copy(update={"steers": lead, "turn_id": TurnId(f"turn_{into:026}")}))
    return message.message_id


async def test_a_steering_message_comes_before_the_step_that_first_read_it(app: Services) -> None:
    read = (await store_steering(app, 2, "Shorter", 1), await store_steering(app, 3, "In French", 1))
    await store_result(app, 1, "a", 7)
    await store_message(app, 1, "One", calling("a"), Step(text="Un", read=read), Step(text="Fin"))
    current = await store_message(app, 5, "Two", status="running")

    assert await entries_for(app, current) == [
        ("user", "One"),
        called(("a", "7")),
        ("user", "Shorter"),
        ("user", "In French"),
        ("assistant", "Un"),
        ("assistant", "Fin"),
        ("user", "Two"),
    ]


async def test_messages_that_a_call_reads_first_come_last_and_later_ones_are_left_out(app: Services) -> None:
    read, _later = await store_steering(app, 2, "Shorter", 1), await store_steering(app, 3, "Later", 1)
    current = await store_message(app, 1, "One", Step(text="First"), status="running")

    newest = await recent_messages(app.log, new_state(), ASSISTANT)
    conversation = await load_conversation(app.log, ASSISTANT, newest, current, (read,))

    assert conversation.reading == ("Shorter",)


async def test_a_message_that_a_call_reads_first_is_read_however_many_came_after_it(app: Services) -> None:
    read = await store_steering(app, 2, "Shorter", 1)
    current = await store_message(app, 1, "One", status="running")
    for number in range(3, 9):
        await store_message(app, number, "Waiting", status="queued")
    agent = replace(ASSISTANT, memory_messages=3)

    newest = await recent_messages(app.log, new_state(), agent)
    conversation = await load_conversation(app.log, agent, newest, current, (read,))

    assert conversation.reading == ("Shorter",)


async def test_a_steering_message_that_no_step_read_is_left_out(app: Services) -> None:
    await store_steering(app, 2, "Unread", 1)
    await store_message(app, 1, "One", Step(text="First"), status="cancelled")
    current = await store_message(app, 5, "Two", status="running")

    assert await entries_for(app, current) == [("user", "One"), ("assistant", "First"), ("user", "Two")]


async def test_a_message_read_by_a_step_without_text_is_included(app: Services) -> None:
    read = (await store_steering(app, 2, "Shorter", 1),)
    await store_message(app, 1, "One", Step(text="First"), Step(text="", read=read), status="cancelled")
    current = await store_message(app, 5, "Two", status="running")

    assert ("user", "Shorter") in await entries_for(app, current)
