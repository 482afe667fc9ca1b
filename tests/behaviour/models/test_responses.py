"""A conversation is sent to the Responses API so that it takes it, and its events become an answer."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.models.strategies import MODELS, conversations, json_values, unhurried
from tests.behaviour.models.streams import Response, encode, events
from tests.domain.media import content_of, data_url, file, picture, sound, text
from turnlog.domain.conversation import AnsweredCall, Conversation, ConversationTurn, ModelStep
from turnlog.domain.errors import ModelError
from turnlog.domain.values import ToolCall
from turnlog.models.requests.responses import REASONING_ITEMS, input_items, responses_body
from turnlog.models.responses import ResponsesStream
from turnlog.ports import ModelRequest

REASONING = {"type": "reasoning", "encrypted_content": "x"}
CALL = ToolCall(id="own", name="f", arguments="{}", vendor={"id": "call_1"})


async def read(*sent: Mapping[str, Any] | str) -> ResponsesStream:
    stream = ResponsesStream(events(Response(encode(sent))), "m")
    async for _ in stream:
        pass
    return stream


def completed(*output: Mapping[str, Any], kind: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "response": {"id": "r", "output": list(output), **fields}}


@unhurried
@given(conversations(), st.sampled_from([*MODELS, "another model"]))
def test_every_call_is_followed_by_its_own_output(given_conversation: Conversation, model: str) -> None:
    items = input_items(given_conversation, model)

    asked = [item["call_id"] for item in items if item.get("type") == "function_call"]
    given_back = [item["call_id"] for item in items if item.get("type") == "function_call_output"]
    assert asked == given_back
    assert len(asked) == len(set(asked))
    json.dumps(items, ensure_ascii=False).encode()


@unhurried
@given(conversations())
def test_no_text_is_blank_and_no_two_turns_of_a_user_meet(given_conversation: Conversation) -> None:
    items = input_items(given_conversation, MODELS[0])

    texts = [item.get("content") or item.get("output") or item.get("arguments") for item in items]
    assert all(text.strip() for text in texts if isinstance(text, str))
    assert items[0]["role"] == "user"


def test_reasoning_goes_back_to_its_model_alone_with_the_calls_that_it_led_to() -> None:
    step = ModelStep("", (AnsweredCall(CALL, "1"),), vendor={REASONING_ITEMS: [REASONING]})
    history = Conversation("", (ConversationTurn("Hi", "m", "running", (step,)),))

    assert input_items(history, "m")[1:3] == [
        REASONING,
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
    ]
    assert [item.get("type") for item in input_items(history, "n")] == [None, "function_call", "function_call_output"]


def test_parts_of_a_message_are_translated() -> None:
    url = data_url("image/png")
    parts = content_of(
        text("Hi"), picture(detail="low"), picture("https://example.com/a.png"), file(filename="a"), sound()
    )

    (item,) = input_items(Conversation("", (ConversationTurn(parts, "m", "running"),)), "m")

    assert item["content"] == [
        {"type": "input_text", "text": "Hi"},
        {"type": "input_image", "image_url": url, "detail": "low"},
        {"type": "input_image", "image_url": "https://example.com/a.png"},
        {"type": "input_file", "file_data": data_url("application/pdf"), "filename": "a"},
        sound(),
    ]


def test_the_body_keeps_nothing_on_the_server_and_asks_for_encrypted_reasoning() -> None:
    conversation = Conversation("", (ConversationTurn("Hi", "m", "running"),))
    tools: list[dict[str, Any]] = [{"type": "function", "function": {"name": "f", "parameters": {}}}]

    body = responses_body(ModelRequest("m", conversation, tools, timedelta(), output_schema={"title": "T"}))

    assert (body["store"], body["stream"], body["include"]) == (False, True, ["reasoning.encrypted_content"])
    assert body["tools"] == [{"type": "function", "strict": False, "name": "f", "parameters": {}}]
    assert body["text"]["format"]["name"] == "T"
    assert "instructions" not in body


@pytest.mark.anyio
async def test_an_answer_is_read_and_looks_like_that_of_every_other_server() -> None:
    stream = await read(
        {"type": "response.output_text.delta", "delta": "Hi"},
        {"type": "response.output_item.done", "output_index": 0, "item": {**REASONING, "status": "completed"}},
        {
            "type": "response.output_item.added",
            "output_index": 1,
            "item": {"type": "function_call", "call_id": "a", "name": "f"},
        },
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"},
        completed(usage={"input_tokens": 1, "output_tokens": 2}),
    )

    assert stream.vendor == {REASONING_ITEMS: [REASONING]}
    assert stream.tool_calls == [ToolCall(id="a", name="f", arguments="{}", vendor={"id": "a"})]
    assert stream.response == {
        "id": "r",
        "object": "chat.completion",
        "created": None,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": "Hi",
                    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter"), (None, "length")]
)
async def test_an_answer_that_is_not_complete_says_why(reason: str | None, finish: str) -> None:
    stream = await read(completed(kind="incomplete", incomplete_details={"reason": reason}))

    assert stream.finish_reason == finish


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["failed", "cancelled"])
async def test_a_response_that_fails_is_a_failure(kind: str) -> None:
    with pytest.raises(ModelError, match="gave up"):
        await read(completed(kind=kind))


_KINDS = (
    "response.output_text.delta",
    "response.output_text.done",
    "response.output_item.added",
    "response.output_item.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.unknown",
)


@st.composite
def odd_events(draw: st.DrawFn) -> dict[str, Any]:
    names = st.sampled_from(["delta", "item", "output_index", "arguments", "text", "item_id"])
    values = json_values("type", "content", "arguments", "call_id") | st.just({"type": "function_call"})
    return {**draw(st.dictionaries(names, values)), "type": draw(st.sampled_from(_KINDS))}


@pytest.mark.anyio
@unhurried
@given(st.lists(odd_events(), max_size=5), json_values("type", "content"))
async def test_no_event_of_any_form_breaks_the_reading(sent: list[dict[str, Any]], output: Any) -> None:
    stream = await read(*sent, completed(output, {"type": "message", "content": output}))

    json.dumps(stream.response).encode()
