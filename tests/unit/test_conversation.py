"""What a model is told of the conversation: everything that was said, as a valid request."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.agents.assistant import ASSISTANT
from shared.agents.declaration import Agent
from shared.domain.documents import Message, Step, ToolResult
from shared.domain.ids import MessageId, TurnId
from shared.domain.values import MessageStatus, ToolCall, ToolOutcome
from shared.services.turns.conversation import conversation, recent_messages
from shared.wiring import Services
from tests.unit.telling import SESSION, THEN

pytestmark = pytest.mark.anyio


async def said(on: Services, number: int, prompt: str, *steps: Step, status: MessageStatus = "completed") -> Message:
    """A message at place `number` of the session."""
    message = Message(
        id=f"msg_{number:026}_{SESSION}",
        sequence=number,
        session_id=SESSION,
        turn_id=TurnId(f"turn_{number:026}"),
        content=prompt,
        steps=steps,
        status=status,
        agent="assistant",
        model="m",
        created_at=THEN + timedelta(seconds=number),
    )
    await on.log.put(SESSION, message)
    return message


async def answered(on: Services, number: int, call_id: str, response: Any) -> None:
    outcome = ToolOutcome(status="completed", response=response)
    message_id = MessageId(f"msg_{number:026}_{SESSION}")
    result = ToolResult(
        id=call_id, sequence=number, message_id=message_id, step=1, name="t", arguments="{}", outcome=outcome
    )
    await on.log.put(SESSION, result)


async def told(on: Services, current: Message, agent: Agent = ASSISTANT) -> list[Any]:
    """What follows the instructions: a text for each entry, but tool entries as they are."""
    instructions, *entries = await conversation(on.log, agent, await recent_messages(on.log, SESSION, agent), current)
    assert instructions == {"role": "system", "content": agent.instructions}
    return [(entry["role"], entry["content"]) if set(entry) == {"role", "content"} else entry for entry in entries]


def calling(*call_ids: str, text: str = "") -> Step:
    return Step(text=text, tool_calls=tuple(ToolCall(id=each, name="t", arguments='{"x": 1}') for each in call_ids))


def called(*call_ids: str, text: str = "") -> dict[str, Any]:
    function = {"name": "t", "arguments": '{"x": 1}'}
    calls = [{"id": each, "type": "function", "function": function} for each in call_ids]
    return {"role": "assistant", "content": text, "tool_calls": calls}


async def test_a_first_message_is_told_after_the_agents_instructions(on: Services) -> None:
    assert await told(on, await said(on, 1, "Hello", status="running")) == [("user", "Hello")]


async def test_earlier_messages_are_told_with_their_answers_oldest_first(on: Services) -> None:
    await said(on, 1, "One", Step(text="First"))
    await said(on, 3, "Two", Step(text="Second"))
    current = await said(on, 5, "Three", status="running")

    assert await told(on, current) == [
        ("user", "One"),
        ("assistant", "First"),
        ("user", "Two"),
        ("assistant", "Second"),
        ("user", "Three"),
    ]


async def test_tool_calls_are_told_with_their_results_in_the_order_they_were_asked_for(on: Services) -> None:
    current = await said(on, 1, "Do it", calling("a", "b", text="Wait."), status="running")
    await answered(on, 1, "b", {"é": 1})
    await answered(on, 1, "a", "text")

    assert await told(on, current) == [
        ("user", "Do it"),
        called("a", "b", text="Wait."),
        {"role": "tool", "tool_call_id": "a", "content": "text"},
        {"role": "tool", "tool_call_id": "b", "content": '{"é": 1}'},
    ]


async def test_results_of_earlier_messages_are_told_too(on: Services) -> None:
    await said(on, 1, "One", calling("a"), Step(text="First"))
    await answered(on, 1, "a", 7)
    current = await said(on, 3, "Two", status="running")

    assert {"role": "tool", "tool_call_id": "a", "content": "7"} in await told(on, current)


async def test_a_call_that_was_never_answered_is_closed_so_that_the_request_is_valid(on: Services) -> None:
    await said(on, 1, "One", calling("a", "b"), status="failed")
    await answered(on, 1, "a", 7)
    current = await said(on, 3, "Two", status="running")

    assert await told(on, current) == [
        ("user", "One"),
        called("a", "b"),
        {"role": "tool", "tool_call_id": "a", "content": "7"},
        {"role": "tool", "tool_call_id": "b", "content": "The call was not answered."},
        ("user", "Two"),
    ]


async def test_a_partial_answer_is_told(on: Services) -> None:
    await said(on, 1, "One", Step(text="Half an"), status="cancelled")
    current = await said(on, 3, "Two", status="running")

    assert ("assistant", "Half an") in await told(on, current)


async def test_a_step_that_said_nothing_is_not_told(on: Services) -> None:
    await said(on, 1, "One", Step(text=""), status="cancelled")
    current = await said(on, 3, "Two", status="running")

    assert await told(on, current) == [("user", "One"), ("user", "Two")]


@pytest.mark.parametrize("status", ["queued", "withdrawn"])
async def test_what_waits_or_was_withdrawn_was_not_said(on: Services, status: MessageStatus) -> None:
    await said(on, 2, "Not said", status=status)
    current = await said(on, 5, "Now", status="running")

    assert await told(on, current) == [("user", "Now")]


async def test_what_was_posted_later_is_not_told(on: Services) -> None:
    current = await said(on, 1, "Now", status="running")
    await said(on, 2, "Later", status="running")

    assert await told(on, current) == [("user", "Now")]


async def test_an_agent_is_told_as_many_messages_as_it_remembers(on: Services) -> None:
    for number in range(1, 6):
        await said(on, number, f"Message {number}", Step(text="ok"))
    current = await said(on, 6, "Now", status="running")
    agent = replace(ASSISTANT, memory_messages=3)

    users = [text for role, text in await told(on, current, agent) if role == "user"]
    assert users == ["Message 4", "Message 5", "Now"]


async def test_the_newest_form_of_the_current_message_is_the_one_given(on: Services) -> None:
    stored = await said(on, 1, "Do it", status="running")
    current = stored.model_copy(update={"steps": (Step(text="Thinking."),)})

    assert await told(on, current) == [("user", "Do it"), ("assistant", "Thinking.")]


async def put(on: Services, number: int, prompt: str, into: int) -> MessageId:
    """A message put into the turn of the one at place `into`."""
    message = await said(on, number, prompt, status="running")
    lead = MessageId(f"msg_{into:026}_{SESSION}")
    await on.log.put(SESSION, message.model_copy(update={"steers": lead, "turn_id": TurnId(f"turn_{into:026}")}))
    return message.message_id


async def test_a_message_put_into_a_turn_is_told_before_the_step_that_was_the_first_to_read_it(on: Services) -> None:
    read = (await put(on, 2, "Shorter", 1), await put(on, 3, "In French", 1))
    await answered(on, 1, "a", 7)
    await said(on, 1, "One", calling("a"), Step(text="Un", read=read), Step(text="Fin"))
    current = await said(on, 5, "Two", status="running")

    assert await told(on, current) == [
        ("user", "One"),
        called("a"),
        {"role": "tool", "tool_call_id": "a", "content": "7"},
        ("user", "Shorter"),
        ("user", "In French"),
        ("assistant", "Un"),
        ("assistant", "Fin"),
        ("user", "Two"),
    ]


async def test_what_a_call_is_the_first_to_read_is_told_last_and_what_came_later_not_at_all(on: Services) -> None:
    read, _later = await put(on, 2, "Shorter", 1), await put(on, 3, "Later", 1)
    current = await said(on, 1, "One", Step(text="First"), status="running")

    newest = await recent_messages(on.log, SESSION, ASSISTANT)
    messages = await conversation(on.log, ASSISTANT, newest, current, (read,))

    assert [entry["content"] for entry in messages[1:]] == ["One", "First", "Shorter"]


async def test_a_message_that_no_step_of_its_turn_read_was_not_said(on: Services) -> None:
    await put(on, 2, "Unread", 1)
    await said(on, 1, "One", Step(text="First"), status="cancelled")
    current = await said(on, 5, "Two", status="running")

    assert await told(on, current) == [("user", "One"), ("assistant", "First"), ("user", "Two")]


async def test_a_message_read_by_a_step_that_said_nothing_is_told(on: Services) -> None:
    read = (await put(on, 2, "Shorter", 1),)
    await said(on, 1, "One", Step(text="First"), Step(text="", read=read), status="cancelled")
    current = await said(on, 5, "Two", status="running")

    assert ("user", "Shorter") in await told(on, current)
