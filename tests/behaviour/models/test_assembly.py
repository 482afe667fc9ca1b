"""A completion is put together from its chunks as a call without streaming would have returned it."""

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.models.strategies import json_values, unhurried
from tests.model_servers.objects import ENVELOPE, TEXT, USAGE, call, calls, chunk, rest, text, used, whole, with_choice
from turnlog.domain.values import Piece
from turnlog.models.assembly import Assembly


def assembled(*chunks: Mapping[str, Any]) -> Assembly:
    assembly = Assembly()
    for each in chunks:
        assembly.add(each)
    return assembly


def message_of(assembly: Assembly) -> dict[str, Any]:
    return assembly.completion()["choices"][0]["message"]


def test_pieces_of_text_become_the_answer() -> None:
    assembly = Assembly()

    pieces = [assembly.add(each) for each in (chunk({"role": "assistant", "content": ""}), *text("Hel", "lo"))]

    assert pieces == [[], [Piece("text", "Hel")], [Piece("text", "lo")]]
    assert assembly.text == "Hello"
    assert message_of(assembly) == {"role": "assistant", "content": "Hello"}


def test_the_completion_has_the_fields_of_the_chunks_under_its_own_name() -> None:
    completion = assembled(*text("Hi"), chunk(reason="stop", service_tier="default"), used()).completion()

    assert completion == {
        **ENVELOPE,
        "object": "chat.completion",
        "service_tier": "default",
        "usage": USAGE,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
    }


def test_an_answer_without_text_has_no_content() -> None:
    assert message_of(assembled(chunk({"role": "assistant"}, "stop")))["content"] is None


def test_an_empty_value_never_replaces_a_known_one() -> None:
    late = {"id": "", "model": None, "choices": [{"index": 0, "finish_reason": None}], "usage": dict.fromkeys(USAGE, 0)}
    assembly = assembled(*text(), chunk(reason="stop"), used(), late)

    assert assembly.finish_reason == "stop"
    assert assembly.usage == USAGE
    assert assembly.completion()["id"] == ENVELOPE["id"]


def test_reasoning_comes_before_the_text_of_its_chunk_and_is_a_field_of_the_message() -> None:
    assembly = Assembly()

    pieces = assembly.add(chunk({"reasoning_content": "Greet her.", "content": "Hi"}))

    assert pieces == [Piece("reasoning", "Greet her."), Piece("text", "Hi")]
    assert assembly.vendor == {"reasoning_content": "Greet her."}
    assert message_of(assembly)["reasoning_content"] == "Greet her."


def test_long_reasoning_is_kept_in_the_completion_though_it_is_not_sent_back() -> None:
    assembly = assembled(*(chunk({"reasoning_content": "hm " * 10_000}) for _ in range(10)))

    assert assembly.vendor == {}
    assert message_of(assembly)["reasoning_content"] == assembly.reasoning == "hm " * 100_000


def test_unknown_fields_of_the_message_are_kept_and_their_texts_grow() -> None:
    assembly = assembled(
        chunk({"thought": "Let "}),
        chunk({"thought": "me see.", "sources": [{"url": "x"}], "nothing": None}),
        chunk({"sources": [{"url": "y"}], "audio_id": {"id": "1"}}),
    )

    assert assembly.vendor == {
        "thought": "Let me see.",
        "sources": [{"url": "x"}, {"url": "y"}],
        "audio_id": {"id": "1"},
    }


def test_tool_calls_are_pieces_and_parts_of_the_completion() -> None:
    assembly = Assembly()
    pieces = [
        piece
        for each in (calls(call('{"x":', "f", index=0)), calls(rest(" 1}", index=0)))
        for piece in assembly.add(each)
    ]

    assert pieces == [Piece("arguments", '{"x":', 0, "f"), Piece("arguments", " 1}", 0, "f")]
    assert message_of(assembly)["tool_calls"] == [call('{"x": 1}', "f")]


def test_of_several_choices_the_first_is_the_answer() -> None:
    other = {"index": 1, "delta": {"content": "No"}, "finish_reason": "stop"}
    assembly = Assembly()

    assembly.add({**ENVELOPE, "choices": [other, {"index": 0, "delta": {"content": "Yes"}}]})
    assembly.add({**ENVELOPE, "choices": [other]})

    assert (assembly.text, assembly.finish_reason) == ("Yes", None)


def test_a_refusal_is_the_answer_where_there_is_no_other() -> None:
    assert assembled(chunk({"refusal": "I can't."})).text == "I can't."
    assert assembled(chunk({"content": "Hi"}), chunk({"refusal": "I can't."})).text == "Hi"


def test_a_message_is_an_answer_only_where_no_delta_came() -> None:
    assert assembled(whole()).text == TEXT
    assert assembled(*text(), with_choice(chunk(), message={"content": TEXT})).text == TEXT


@pytest.mark.parametrize(
    "odd", [{}, {"choices": None}, {"choices": []}, {"choices": [{"delta": None}]}, {"choices": {}}]
)
def test_a_chunk_that_says_nothing_adds_nothing(odd: dict[str, Any]) -> None:
    assembly = Assembly()

    assert assembly.add(odd) == []
    assert assembly.is_empty


_NAMES = ("choices", "usage", "index", "delta", "message", "content", "tool_calls", "function", "name", "arguments")


def _chunk_of(value: Any) -> dict[str, Any]:
    """Return `value` as a chunk: whole, as a choice, or as a delta."""
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if "choices" in fields:
        return fields
    return {"choices": [fields if "delta" in fields else {"delta": value}]}


@unhurried
@given(st.lists(json_values(*_NAMES).map(_chunk_of), max_size=4))
def test_no_chunk_of_any_form_breaks_the_assembly(chunks: list[dict[str, Any]]) -> None:
    assembly = assembled(*chunks)

    json.dumps(assembly.completion()).encode()
    json.dumps([each.model_dump() for each in assembly.tool_calls.values()]).encode()
