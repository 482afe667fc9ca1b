"""A refusal teaches what a model's server does not take, and the next request is one that it takes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.models.strategies import unhurried
from tests.domain.media import file, sound
from turnlog.models.complaints import read_complaint
from turnlog.models.requests.dialect import MEDIA_LEFT_OUT, Dialect, is_about_media

PICTURE = {"type": "image_url", "image_url": {"url": "data:,"}}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"x": 1}}


def body(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), "stream": True, "stream_options": {}, "tools": [], **fields}


USER = {"role": "user", "content": "Hi"}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "hm"}


def learned(complaint: Any, sent: dict[str, Any]) -> Dialect:
    return Dialect().after(read_complaint(complaint), sent)


_REFUSALS: list[tuple[Any, set[str]]] = [
    ("Unrecognized request argument supplied: stream_options", {"stream_options"}),
    ("Unrecognized request arguments supplied: seed, stream_options", {"seed", "stream_options"}),
    ("Unknown parameter: 'seed'.", {"seed"}),
    ("property `seed` is unsupported", {"seed"}),
    ("extraneous key [seed] is not permitted", {"seed"}),
    ('Unknown name "seed": Cannot find field.', {"seed"}),
    ("stream_options is not supported by this model", {"stream_options"}),
    ("Extra inputs are not permitted, field: 'messages[1].reasoning_content'", {"reasoning_content"}),
    ("messages.1.assistant.tool_calls.0.extra_content: unexpected property", {"extra_content"}),
    ({"error": {"message": "no", "code": "unknown_parameter", "param": "seed"}}, {"seed"}),
    ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "no"}]}, {"seed"}),
    ("Unknown parameter: 'model', 'messages', 'tools', 'stream'.", set()),
    ("Unknown parameter: 'content'.", set()),
    ("The value of seed is too large", set()),
    ("Something else is unsupported", set()),
]


@pytest.mark.parametrize(("complaint", "left_out"), _REFUSALS)
def test_fields_that_a_refusal_names_are_left_out(complaint: Any, left_out: set[str]) -> None:
    assert learned(complaint, body(USER, CALLING, seed=1)).left_out == left_out


def test_fields_are_left_out_of_the_request_its_messages_and_their_calls() -> None:
    dialect = Dialect(frozenset({"stream_options", "reasoning_content", "extra_content"}))

    sent = dialect.apply(body(USER, CALLING))

    plain_call = {name: value for name, value in CALL.items() if name != "extra_content"}
    assert sent == {
        "model": "m",
        "messages": [USER, {"role": "assistant", "content": None, "tool_calls": [plain_call]}],
        "stream": True,
        "tools": [],
    }


@pytest.mark.parametrize(
    "complaint",
    [
        "Missing `reasoning_content` field in the assistant message at message index 2.",
        "The reasoning_content in the thinking mode must be passed back to the API.",
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
        "messages with tool_calls must include reasoning_content",
    ],
)
def test_reasoning_that_a_server_misses_is_filled_in(complaint: str) -> None:
    without = {"role": "assistant", "content": "Hi"}
    other = {"role": "assistant", "content": "Hi", "reasoning": "hm"}

    sent = learned(complaint, body(without)).apply(body(USER, without, other, CALLING))

    assert [each.get("reasoning_content") for each in sent["messages"]] == [None, "", "hm", "hm"]


def test_pictures_of_earlier_turns_are_left_out_for_a_model_that_sees_none() -> None:
    earlier, now = ({"role": "user", "content": [{"type": "text", "text": text}, PICTURE]} for text in ("a", "b"))
    messages = (earlier, {"role": "assistant", "content": "Hi"}, now)

    sent = learned("m is not a multimodal model", body(*messages)).apply(body(*messages))

    # As a text, because such a model may take nothing else.
    assert [each["content"] for each in sent["messages"]] == [f"a\n{MEDIA_LEFT_OUT}", "Hi", now["content"]]


@pytest.mark.parametrize(
    ("complaint", "part"),
    [
        ("Unknown part type: file", file()),
        ("Invalid content type: input_audio", sound()),
        ("This model does not support PDF input", file()),
    ],
)
def test_sound_and_files_of_earlier_turns_are_left_out_like_pictures(complaint: str, part: dict[str, Any]) -> None:
    sent_before = body({"role": "user", "content": [part]}, {"role": "assistant", "content": "Hi"}, USER)

    sent = learned(complaint, sent_before).apply(sent_before)

    assert sent["messages"][0]["content"] == MEDIA_LEFT_OUT


def test_in_the_responses_api_a_text_takes_their_place() -> None:
    user = {"role": "user", "content": [{"type": "input_file", "file_data": "x"}]}
    sent_before = {"model": "m", "input": [user, {"role": "assistant", "content": "Hi"}, USER]}

    sent = learned("no input_file, please", sent_before).apply(sent_before)

    assert sent["input"][0]["content"] == MEDIA_LEFT_OUT


def test_a_picture_of_the_running_turn_stays_refused_and_is_named() -> None:
    complaint = "This model does not support images"
    sent = body({"role": "user", "content": [PICTURE]})

    assert learned(complaint, sent) == Dialect()
    assert is_about_media(read_complaint(complaint), sent)
    assert not is_about_media(read_complaint("no"), sent)
    assert not is_about_media(read_complaint(complaint), body(USER))


_words = st.sampled_from(
    [
        "unsupported",
        "'seed'",
        "stream_options",
        "messages",
        "'model'",
        "reasoning_content",
        "missing",
        "image",
        "'role'",
        ":",
        ",",
    ]
)


@unhurried
@given(st.lists(st.lists(_words, max_size=6).map(" ".join), max_size=8))
def test_learning_ends_and_never_leaves_out_what_a_request_needs(complaints: list[str]) -> None:
    dialect = Dialect()
    given_body = body(USER, CALLING, {"role": "tool", "content": "1", "tool_call_id": "a"}, seed=1)
    for complaint in complaints:
        dialect = dialect.after(read_complaint(complaint), dialect.apply(given_body))

    sent = dialect.apply(given_body)

    assert {"model", "messages", "tools", "stream"} <= sent.keys()
    assert [each["role"] for each in sent["messages"]] == ["user", "assistant", "tool"]
    assert dialect.apply(sent) == sent
    assert dialect.left_out <= {"seed", "stream_options", "reasoning_content", "extra_content"}
