"""The scripted model calls the tools that the last message asks for."""

from typing import Any, cast

import openai
import pytest
from openai import AsyncOpenAI

from tests.local.model.model_client import (
    ADD,
    CLOCK,
    USER,
    assistant,
    begin,
    calls_in,
    finish_reason,
    named,
    offer,
    pieces,
    read,
    read_text,
    result,
    user,
)

pytestmark = pytest.mark.anyio


async def test_a_tool_is_called_with_the_given_arguments_in_fragments(model: AsyncOpenAI) -> None:
    asked = user('please call add {"a": 2, "b": 3} and use current_time.')

    chunks = await read(model, "fake-20-0", asked, tools=offer(ADD, CLOCK))

    calls = calls_in(chunks)
    assert named(calls) == [("add", {"a": 2, "b": 3}), ("current_time", {})]
    assert all(call["id"].startswith("call_") for call in calls)
    assert len({call["id"] for call in calls}) == 2
    assert all(len(call["fragments"]) > 1 for call in calls)
    assert finish_reason(chunks) == "tool_calls"
    assert pieces(chunks) == []


async def test_a_tool_call_in_one_piece(model: AsyncOpenAI) -> None:
    whole = await model.chat.completions.create(
        model="fake-20-0", messages=cast("Any", [user('call add {"a": 2, "b": 3}')]), tools=offer(ADD)
    )

    message = whole.choices[0].message
    assert whole.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    assert [call.to_dict() for call in message.tool_calls or []] == [
        {"id": call.id, "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'}}
        for call in message.tool_calls or []
    ]


async def test_results_of_tools_are_quoted_in_the_answer(model: AsyncOpenAI) -> None:
    asked = user('call add {"a": 2, "b": 3} and call current_time')
    tools = offer(ADD, CLOCK)
    calls = calls_in(await read(model, "fake-20-0", asked, tools=tools))
    results = [result(calls[0], "5"), result(calls[1], "noon " * 100)]

    answer = await read_text(model, "fake-60-0", asked, assistant(calls), *results, tools=tools)

    assert "add returned “5”." in answer
    assert "current_time returned “noon noon" in answer
    assert "I was given 4 messages" in answer


async def test_then_puts_a_call_into_the_next_step(model: AsyncOpenAI) -> None:
    asked = user('call add {"a": 1, "b": 1} then call add {"a": 2, "b": 2} and then use current_time')
    conversation, steps = [asked], list[Any]()

    while calls := calls_in(await read(model, "fake-40-0", *conversation, tools=offer(ADD, CLOCK))):
        steps.append(named(calls))
        conversation += [assistant(calls), *(result(call, f"result {len(steps)}") for call in calls)]

    assert steps == [[("add", {"a": 1, "b": 1})], [("add", {"a": 2, "b": 2})], [("current_time", {})]]
    assert "current_time returned “result 3”" in await read_text(model, "fake-40-0", *conversation)


async def test_missing_arguments_are_made_from_the_schema(model: AsyncOpenAI) -> None:
    properties = {
        "text": {"type": "string"},
        "size": {"type": "integer", "minimum": 3},
        "exact": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        "color": {"type": "string", "enum": ["red", "blue"]},
        "unit": {"type": "string", "default": "cm"},
        "city": {"type": "string", "examples": ["Oslo"]},
        "place": {"$ref": "#/$defs/Place"},
        "maybe": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "left_out": {"type": "string"},
    }
    place = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    required = [name for name in properties if name != "left_out"]
    schema = {"type": "object", "properties": properties, "required": required, "$defs": {"Place": place}}

    chunks = await read(model, "fake-9-0", user("use measure"), tools=offer({"name": "measure", "parameters": schema}))

    assert calls_in(chunks)[0]["arguments"] == {
        "text": "",
        "size": 3,
        "exact": False,
        "tags": ["x"],
        "color": "red",
        "unit": "cm",
        "city": "Oslo",
        "place": {"id": 0},
        "maybe": 0,
    }


async def test_arguments_that_are_not_json_are_passed_on_as_models_do(model: AsyncOpenAI) -> None:
    chunks = await read(model, "fake-9-0", user("call add {a: two} please"), tools=offer(ADD))

    deltas = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or []]
    assert "".join(call.function.arguments or "" for call in deltas if call.function) == "{a: two}"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tools": offer(CLOCK)},
        {"tools": offer(ADD), "tool_choice": "none"},
    ],
)
async def test_a_tool_that_is_not_offered_or_not_allowed_is_not_called(
    model: AsyncOpenAI, options: dict[str, Any]
) -> None:
    chunks = await read(model, "fake-5-0", user("call add"), **options)

    assert calls_in(chunks) == []
    assert finish_reason(chunks) == "stop"


async def test_a_tool_call_and_its_result_must_follow_each_other(model: AsyncOpenAI) -> None:
    call: dict[str, Any] = {"id": "call_1", "name": "add", "arguments": {}}

    for conversation in ([USER, result(call, "5")], [USER, assistant([call])], [USER, assistant([call]), USER]):
        with pytest.raises(openai.BadRequestError):
            await begin(model, "fake-1-0", *conversation)
