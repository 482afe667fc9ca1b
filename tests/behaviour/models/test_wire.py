"""The wire form of any conversation is one that every server takes, and gives each model back what is its own."""

from dataclasses import replace

import pytest
from hypothesis import given

from tests.behaviour.models.strategies import MODELS, conversations, unhurried
from tests.domain.media import content_of, file, picture, sound, text
from tests.model_servers.demands import broken_by, calls_in, own_fields
from turnlog.domain.content import Content
from turnlog.domain.conversation import AnsweredCall, Conversation, ConversationTurn, ModelStep
from turnlog.domain.values import ToolCall
from turnlog.models.requests.wire import (
    EMPTY_MESSAGE,
    EMPTY_RESULT,
    UNANSWERED,
    UNFINISHED,
    chat_messages,
    wire_arguments,
    wire_id,
    wire_name,
)

OTHER_MODEL = "another model"


def conversation(*turns: ConversationTurn, reading: tuple[Content, ...] = ()) -> Conversation:
    return Conversation("Be brief.", turns, reading)


def turn(
    *steps: ModelStep, content: Content = "Hello", status: str = "completed", model: str = "m"
) -> ConversationTurn:
    return ConversationTurn(content, model, status, steps)  # pyright: ignore[reportArgumentType]


def calling(*ids: str, vendor: dict[str, object] | None = None, result: str | None = "42") -> ModelStep:
    calls = [
        ToolCall(id=f"own_{number}", name="f", arguments="{}", vendor={"id": each}) for number, each in enumerate(ids)
    ]
    return ModelStep("", tuple(AnsweredCall(call, result) for call in calls), vendor=vendor)


@unhurried
@given(conversations())
def test_every_strict_server_takes_what_another_model_wrote(given_conversation: Conversation) -> None:
    assert broken_by(chat_messages(given_conversation, OTHER_MODEL)) == []


@unhurried
@given(conversations())
def test_only_ids_and_fields_of_the_same_model_are_not_for_every_server(given_conversation: Conversation) -> None:
    """The only demands that may be broken are those on ids, which the server gave itself, and on its own fields."""
    for model in MODELS:
        problems = broken_by(chat_messages(given_conversation, model))
        assert [each for each in problems if "id" not in each and "extra fields" not in each] == []


@unhurried
@given(conversations())
def test_a_longer_conversation_begins_with_the_shorter_one(given_conversation: Conversation) -> None:
    """Servers keep what they have read before: a beginning that changes costs its tokens again."""
    earlier = [replace(each, status="completed") for each in given_conversation.turns[:-1]]
    whole = [each for each in earlier if each.steps and not each.steps[-1].calls and each.steps[-1].text.strip()]
    shorter, longer = (Conversation("x", tuple(whole[:count])) for count in (len(whole) - 1, len(whole)))
    if len(whole) > 1:
        messages = chat_messages(shorter, MODELS[0])
        assert chat_messages(longer, MODELS[0])[: len(messages)] == messages


def test_a_call_goes_back_to_its_model_with_the_id_that_its_server_gave() -> None:
    messages = chat_messages(conversation(turn(calling("functions.f:0"))), "m")

    assert [each["id"] for each in calls_in(messages)] == ["functions.f:0"]
    assert messages[-1]["tool_call_id"] == "functions.f:0"


def test_an_id_that_a_server_gave_twice_is_sent_once() -> None:
    messages = chat_messages(conversation(turn(calling("f:0")), turn(calling("f:0"))), "m")

    first, second = (each["id"] for each in calls_in(messages))
    assert first == "f:0"
    assert second == messages[-1]["tool_call_id"] != "f:0"


def test_fields_of_a_server_go_back_to_its_model_alone() -> None:
    history = conversation(turn(calling("a", vendor={"reasoning_content": "hm"})))

    assert chat_messages(history, "m")[2]["reasoning_content"] == "hm"
    assert own_fields(chat_messages(history, OTHER_MODEL)) is None


def test_fields_of_an_answer_without_calls_are_not_sent() -> None:
    history = conversation(turn(ModelStep("Hi", vendor={"reasoning_content": "hm"})), turn())

    assert chat_messages(history, "m")[2] == {"role": "assistant", "content": "Hi"}


@pytest.mark.parametrize(
    ("status", "content"),
    [
        ("failed", "[This turn failed before it was answered.]"),
        ("cancelled", "[This turn was cancelled before it was answered.]"),
        ("completed", UNFINISHED),
    ],
)
def test_a_turn_without_an_answer_says_so(status: str, content: str) -> None:
    messages = chat_messages(conversation(turn(status=status), turn(content="Again")), "m")

    assert [each["content"] for each in messages] == ["Be brief.", "Hello", content, "Again"]


def test_a_message_that_comes_while_tools_run_does_not_follow_their_results_at_once() -> None:
    messages = chat_messages(conversation(turn(calling("a")), reading=("Wait", "Stop")), "m")

    assert [each["role"] for each in messages][-3:] == ["tool", "assistant", "user"]
    assert messages[-1]["content"] == "Wait\n\nStop"


def test_text_before_a_call_of_the_next_step_is_said_with_it() -> None:
    messages = chat_messages(conversation(turn(ModelStep("Let me see."), calling("a"))), "m")

    assert messages[2]["content"] == "Let me see."
    assert len(messages[2]["tool_calls"]) == 1


@pytest.mark.parametrize(("result", "sent"), [(None, UNANSWERED), (" ", EMPTY_RESULT), ("42", "42")])
def test_every_call_has_a_result_in_words(result: str | None, sent: str) -> None:
    assert chat_messages(conversation(turn(calling("a", result=result))), "m")[-1]["content"] == sent


def test_pictures_stay_and_blank_parts_do_not() -> None:
    contents: tuple[Content, ...] = (content_of(text(" "), picture(detail="low"), sound(), file()), (), " ")

    sent = [chat_messages(conversation(turn(content=content)), "m")[-1]["content"] for content in contents]

    assert sent == [[picture(detail="low"), sound(), file()], EMPTY_MESSAGE, EMPTY_MESSAGE]


def test_parts_and_texts_that_follow_each_other_become_one_message() -> None:
    given_conversation = conversation(turn(content=content_of(text("One"), picture())), reading=("Two",))

    sent = chat_messages(given_conversation, "m")[-1]["content"]

    assert sent == [text("One"), picture(), text("Two")]


def test_ids_are_nine_letters_or_digits_and_the_same_for_one_call() -> None:
    assert wire_id("call_1") == wire_id("call_1") != wire_id("call_2")
    assert len(wire_id("")) == 9


@pytest.mark.parametrize(
    ("name", "sent"), [("a.b c", "a_b_c"), ("", "unnamed"), ("x" * 70, "x" * 64), ("größe", "gr__e")]
)
def test_names_are_those_that_every_server_takes(name: str, sent: str) -> None:
    assert wire_name(name) == sent


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"a":  1}', '{"a":  1}'),
        ('{"a": "ë"}', '{"a": "ë"}'),
        ('{"a": "\\ud83d\\ude42"}', '{"a": "🙂"}'),
        ('{"a": "\\ud83d"}', '{"a": "\ufffd"}'),
        ('{"a": "\ud83d"}', '{"a": "\ufffd"}'),
        ('{"a": NaN}', "{}"),
        ('{"a": 1', "{}"),
        ('["a"]', "{}"),
        ("[" * 100_000, "{}"),
        ("", "{}"),
    ],
)
def test_arguments_are_json_objects(arguments: str, sent: str) -> None:
    assert wire_arguments(arguments) == sent
