"""A request holds what the app asks for, under the options of agent and deployment, and no more."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from turnlog.domain.conversation import AnsweredCall, Conversation, ConversationTurn, ModelStep
from turnlog.domain.values import ToolCall
from turnlog.models.requests.chat import chat_body, merged, named_schema
from turnlog.ports import ModelRequest

TOOLS = [{"type": "function", "function": {"name": "f"}}]
STEP = ModelStep("", (AnsweredCall(ToolCall(id="a", name="f", arguments="{}"), "1"),))


def sent(*steps: ModelStep, tools: Sequence[dict[str, Any]] = (), **fields: Any) -> dict[str, Any]:
    conversation = Conversation("", (ConversationTurn("Hi", "m", "running", steps),))
    return chat_body(ModelRequest("m", conversation, tools, timedelta(), **fields))


def test_a_request_without_options_is_a_stream_with_usage() -> None:
    assert sent() == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_tools_may_be_called_until_the_last_step() -> None:
    assert sent(tools=TOOLS)["tool_choice"] == "auto"
    assert sent(tools=TOOLS, may_call_tools=False)["tool_choice"] == "none"
    assert sent(tools=TOOLS, may_call_tools=False, options={"tool_choice": "required"})["tool_choice"] == "none"


@pytest.mark.parametrize("choice", ["required", "any", {"type": "function", "function": {"name": "f"}}])
def test_a_demanded_call_is_demanded_once_in_a_turn(choice: Any) -> None:
    assert sent(tools=TOOLS, options={"tool_choice": choice})["tool_choice"] == choice
    assert sent(STEP, tools=TOOLS, options={"tool_choice": choice})["tool_choice"] == "auto"


def test_options_about_tools_are_left_out_where_there_are_none() -> None:
    options = {"tool_choice": "required", "parallel_tool_calls": False, "seed": 1}

    assert sent(options=options).keys() == {"model", "messages", "stream", "stream_options", "seed"}


def test_options_merge_into_the_request_and_null_takes_a_field_out() -> None:
    body = sent(options={"stream_options": None, "temperature": 0.1, "model": "n"})

    assert (body["model"], body["temperature"], "stream_options" in body) == ("n", 0.1, False)
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"c": None, "d": 3}, "e": None}) == {"a": {"b": 1, "d": 3}}


def test_an_output_schema_has_a_name_that_every_server_takes() -> None:
    assert sent(output_schema={"title": "List[Item]"})["response_format"]["json_schema"]["name"] == "List_Item"
    assert [named_schema({"title": title})["name"] for title in ("x" * 70, "日本", "a-b_1")] == [
        "x" * 64,
        "output",
        "a-b_1",
    ]
    assert named_schema({"type": "object"}) == {"name": "output", "schema": {"type": "object"}}
