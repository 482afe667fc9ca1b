"""The texts of a step are stored once: its response has references in their places."""

import json
from typing import Any

import pytest

from turnlog.domain.responses import with_texts, without_texts
from turnlog.domain.stored_documents import Step
from turnlog.domain.values import ARGUMENTS_TOO_LARGE, ToolCall

TEXT, REASONING, ARGUMENTS = "answer " * 50, "thought " * 50, json.dumps({"names": ["Ann"] * 50})
STEP = Step(text=TEXT, reasoning=REASONING, tool_calls=(ToolCall(id="call_a", name="t", arguments=ARGUMENTS),))


def response(text: str = TEXT, arguments: str = ARGUMENTS) -> dict[str, Any]:
    call = {"id": "1", "type": "function", "function": {"name": "t", "arguments": arguments}}
    details = [{"type": "reasoning.text", "text": REASONING}]
    message = {"role": "assistant", "content": text, "reasoning_details": details, "tool_calls": [call]}
    return {"id": "x", "choices": [{"index": 0, "message": message}], "usage": {"total_tokens": 3}}


def test_a_response_without_texts_is_small_and_comes_back_as_it_was() -> None:
    reduced = without_texts(response(), STEP)

    assert not any(text in json.dumps(reduced) for text in ("answer answer", "thought thought", "Ann"))
    assert with_texts(reduced, STEP) == response()


def test_short_texts_stay_where_they_are() -> None:
    step = Step(text="Yes.")

    assert without_texts(response("Yes."), step) == response("Yes.")


def test_a_text_that_was_cut_off_in_the_step_is_cut_off_in_the_response() -> None:
    step = STEP.model_copy(update={"truncated": True})
    refused = STEP.tool_calls[0].model_copy(update={"refused": ARGUMENTS_TOO_LARGE})
    step = step.model_copy(update={"tool_calls": (refused,)})

    reduced = without_texts(response(TEXT + "and more", ARGUMENTS + "and more"), step)

    assert with_texts(reduced, step) == response()


def test_another_text_is_no_reference_though_it_begins_alike() -> None:
    other = response(TEXT + "and more")

    assert with_texts(without_texts(other, STEP), STEP) == other


@pytest.mark.parametrize("name", ["text", "0", "unknown"])
def test_a_response_that_looks_like_a_reference_is_kept(name: str) -> None:
    sent = {**response(), "vendor": {"$step": name}}

    assert without_texts(sent, STEP) == sent
