"""What a model reads of the conversation: every message, as a valid request."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.agents.assistant import ASSISTANT
from shared.agents.declaration import Agent
from shared.domain.ids import MessageId, TurnId
from shared.domain.stored_documents import Message, Step, ToolResult
from shared.domain.values import MessageStatus, ToolCall, ToolOutcome
from shared.services.turns.conversation import conversation, recent_messages
from shared.wiring import Services
from tests.domain.factories import SESSION, THEN

pytestmark = pytest.mark.anyio


async def store_message(
    app: Services, number: int, content: str, *steps: Step, status: MessageStatus = "completed"
) -> Message:
    """Store a message with the sequence `number`."""
    message = Message(
        id=f"msg_{number:026}_{SESSION}",
        sequence=number,
        session_id=SESSION,
        turn_id=TurnId(f"turn_{number:026}"),
        content=content,
        steps=steps,
        status=status,
        agent="assistant",
        model="m",
        created_at=THEN + timedelta(seconds=number),
    )
    await app.log.put(SESSION, message)
    return message


async def store_result(app: Services, number: int, call_id: str, response: Any) -> None:
    outcome = ToolOutcome(status="completed", response=response)
    message_id = MessageId(f"msg_{number:026}_{SESSION}")
    result = ToolResult(
        id=call_id, sequence=number, message_id=message_id, step=1, name="t", arguments="{}", outcome=outcome
    )
    await app.log.put(SESSION, result)


async def entries_for(app: Services, current: Message, agent: Agent = ASSISTANT) -> list[Any]:
    """The entries after the instructions, shortened to role and text; tool entries are whole."""
    instructions, *entries = await conversation(app.log, agent, await recent_messages(app.log, SESSION, agent), current)
    assert instructions == {"role": "system", "content": agent.instructions}
    return [(entry["role"], entry["content"]) if set(entry) == {"role", "content"} else entry for entry in entries]


def calling(*call_ids: str, text: str = "") -> Step:
    return Step(text=text, tool_calls=tuple(ToolCall(id=each, name="t", arguments='{"x": 1}') for each in call_ids))


def called(*call_ids: str, text: str = "") -> dict[str, Any]:
    function = {"name": "t", "arguments": '{"x": 1}'}
    calls = [{"id": each, "type": "function", "function": function} for each in call_ids]
    return {"role": "assistant", "content": text, "tool_calls": calls}


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
        called("a", "b", text="Wait."),
        {"role": "tool", "tool_call_id": "a", "content": "text"},
        {"role": "tool", "tool_call_id": "b", "content": '{"é": 1}'},
    ]


async def test_results_of_earlier_messages_are_included(app: Services) -> None:
    await store_message(app, 1, "One", calling("a"), Step(text="First"))
    await store_result(app, 1, "a", 7)
    current = await store_message(app, 3, "Two", status="running")

    assert {"role": "tool", "tool_call_id": "a", "content": "7"} in await entries_for(app, current)


async def test_a_call_without_an_answer_gets_one_so_that_the_request_is_valid(app: Services) -> None:
    await store_message(app, 1, "One", calling("a", "b"), status="failed")
    await store_result(app, 1, "a", 7)
    current = await store_message(app, 3, "Two", status="running")

    assert await entries_for(app, current) == [
        ("user", "One"),
        called("a", "b"),
        {"role": "tool", "tool_call_id": "a", "content": "7"},
        {"role": "tool", "tool_call_id": "b", "content": "The call was not answered."},
        ("user", "Two"),
    ]


async def test_a_partial_answer_is_included(app: Services) -> None:
    await store_message(app, 1, "One", Step(text="Half an"), status="cancelled")
    current = await store_message(app, 3, "Two", status="running")

    assert ("assistant", "Half an") in await entries_for(app, current)


async def test_a_step_without_text_and_calls_is_left_out(app: Services) -> None:
    await store_message(app, 1, "One", Step(text=""), status="cancelled")
    current = await store_message(app, 3, "Two", status="running")

    assert await entries_for(app, current) == [("user", "One"), ("user", "Two")]


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
        called("a"),
        {"role": "tool", "tool_call_id": "a", "content": "7"},
        ("user", "Shorter"),
        ("user", "In French"),
        ("assistant", "Un"),
        ("assistant", "Fin"),
        ("user", "Two"),
    ]


async def test_messages_that_a_call_reads_first_come_last_and_later_ones_are_left_out(app: Services) -> None:
    read, _later = await store_steering(app, 2, "Shorter", 1), await store_steering(app, 3, "Later", 1)
    current = await store_message(app, 1, "One", Step(text="First"), status="running")

    newest = await recent_messages(app.log, SESSION, ASSISTANT)
    messages = await conversation(app.log, ASSISTANT, newest, current, (read,))

    assert [entry["content"] for entry in messages[1:]] == ["One", "First", "Shorter"]


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
