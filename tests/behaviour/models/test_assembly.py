"""An assembled completion equals the one that a call without streaming would return."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ModelError
from shared.domain.values import ToolCall, Usage
from shared.models.assembly import Assembly
from shared.models.openai import OpenAIStream

HEAD = {"id": "chatcmpl-1", "created": 1, "model": "m", "object": "chat.completion.chunk"}


def chunk(delta: dict[str, Any] | None = None, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **fields}


def assembled(*chunks: dict[str, Any]) -> Assembly:
    assembly = Assembly()
    for each in chunks:
        assembly.add(each)
    return assembly


def message_of(assembly: Assembly) -> dict[str, Any]:
    return assembly.completion()["choices"][0]["message"]


def test_pieces_of_text_become_the_answer() -> None:
    assembly = Assembly()
    pieces = [
        assembly.add(each)
        for each in (chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}), chunk({"content": "lo"}))
    ]

    assert pieces == ["", "Hel", "lo"]
    assert assembly.text == "Hello"
    assert message_of(assembly) == {"role": "assistant", "content": "Hello"}


def test_the_completion_has_the_fields_of_its_chunks_and_its_own_type() -> None:
    completion = assembled(chunk({"content": "Hi"}), chunk({}, "stop")).completion()

    assert completion == {
        "id": "chatcmpl-1",
        "created": 1,
        "model": "m",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
    }


def test_an_answer_without_text_has_no_content() -> None:
    assert message_of(assembled(chunk({"role": "assistant"}, "stop")))["content"] is None


def called(index: int, **fields: Any) -> dict[str, Any]:
    return chunk({"tool_calls": [{"index": index, **fields}]})


def test_fragments_of_parallel_tool_calls_are_joined_per_call() -> None:
    assembly = assembled(
        called(0, id="a", type="function", function={"name": "add", "arguments": ""}),
        called(1, id="b", type="function", function={"name": "clock", "arguments": ""}),
        called(0, function={"arguments": '{"x":'}),
        called(1, function={"arguments": "{}"}),
        called(0, function={"arguments": " 1}"}),
        chunk({}, "tool_calls"),
    )

    assert message_of(assembly)["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "clock", "arguments": "{}"}},
    ]
    assert assembly.finish_reason == "tool_calls"


@given(st.data(), st.lists(st.text('{}abc": 1', max_size=12), min_size=1, max_size=3))
def test_arguments_that_were_cut_anywhere_are_joined(data: st.DataObject, arguments: list[str]) -> None:
    fragments = [
        called(index, id=f"c{index}", function={"name": "f", "arguments": ""}) for index in range(len(arguments))
    ]
    rest = dict(enumerate(arguments))
    while rest := {index: text for index, text in rest.items() if text}:
        index = data.draw(st.sampled_from(sorted(rest)))
        size = data.draw(st.integers(1, len(rest[index])))
        fragments.append(called(index, function={"arguments": rest[index][:size]}))
        rest[index] = rest[index][size:]

    assert [call["function"]["arguments"] for call in assembled(*fragments).tool_calls] == arguments


def test_unknown_fields_are_kept_and_texts_among_them_grow() -> None:
    assembly = assembled(
        chunk({"reasoning_content": "Let "}, service_tier="default"),
        chunk({"reasoning_content": "me see.", "annotations": [{"url": "x"}]}, system_fingerprint="fp"),
        chunk({"audio": {"id": "1"}, "annotations": [{"url": "y"}]}),
        chunk({"audio": {"data": "…"}}, "stop"),
    )

    assert message_of(assembly) == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "Let me see.",
        "annotations": [{"url": "x"}, {"url": "y"}],
        "audio": {"id": "1", "data": "…"},
    }
    assert assembly.completion()["service_tier"] == "default"
    assert assembly.completion()["system_fingerprint"] == "fp"


def test_usage_may_come_in_a_chunk_without_choices() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assembly = assembled(
        chunk({"content": "Hi"}, usage=None), chunk({}, "stop"), {**HEAD, "choices": [], "usage": usage}
    )

    assert assembly.usage == usage
    assert assembly.completion()["usage"] == usage
    assert (assembly.text, assembly.finish_reason) == ("Hi", "stop")


def test_of_several_choices_the_first_is_the_answer() -> None:
    other = {"index": 1, "delta": {"content": "No"}, "finish_reason": "stop"}
    assembly = Assembly()

    assert assembly.add({**HEAD, "choices": [other, {"index": 0, "delta": {"content": "Yes"}}]}) == "Yes"
    assert assembly.finish_reason is None


@pytest.mark.parametrize("odd", [{}, {"choices": None}, {"choices": []}, {"choices": [{"delta": None}]}])
def test_an_empty_chunk_adds_nothing(odd: dict[str, Any]) -> None:
    assembly = Assembly()

    assert assembly.add(odd) == ""
    assert assembly.text == ""


async def lines(*chunks: dict[str, Any] | str) -> AsyncGenerator[str]:
    for each in chunks:
        yield each if isinstance(each, str) else f"data: {json.dumps(each)}"
        yield ""


async def read(stream: OpenAIStream) -> list[str]:
    return [piece async for piece in stream]


@pytest.mark.anyio
async def test_a_stream_yields_its_pieces_and_then_has_the_rest() -> None:
    call = called(0, id="a", function={"name": "add"})
    usage: dict[str, Any] = {**HEAD, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    stream = OpenAIStream(
        lines(": a comment", chunk({"content": "Hi"}), "event: x", call, chunk({}, "stop"), usage, "data: [DONE]")
    )

    assert await read(stream) == ["Hi"]
    assert (stream.text, stream.finish_reason) == ("Hi", "stop")
    assert stream.tool_calls == [ToolCall(id="a", name="add", arguments="{}")]
    assert stream.usage == Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    assert stream.response["choices"][0]["message"]["content"] == "Hi"


@pytest.mark.anyio
async def test_an_emoji_that_a_server_cut_in_two_becomes_valid_text() -> None:
    pieces = await read(OpenAIStream(lines(chunk({"content": "a\ud83d"}), chunk({"content": "\ude00b"}, "stop"))))

    assert "".join(pieces).encode().startswith(b"a")
    assert pieces[0][0] + pieces[1][-1] == "ab"


@pytest.mark.anyio
@pytest.mark.parametrize("payload", ["[]", "null", "5", '"text"'])
async def test_a_line_that_is_not_a_chunk_ends_the_stream_with_an_error(payload: str) -> None:
    with pytest.raises(ModelError) as raised:
        await read(OpenAIStream(lines(f"data: {payload}", chunk({}, "stop"))))

    assert (raised.value.failure_code, raised.value.transient) == ("model_broke_off", True)
