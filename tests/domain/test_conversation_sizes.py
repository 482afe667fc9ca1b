"""A conversation is made to fit without parting a call from its result, and without losing the running turn."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.models.strategies import conversations, unhurried
from turnlog.domain.conversation import (
    SHORTENED_RESULT_BYTES,
    AnsweredCall,
    Conversation,
    ConversationTurn,
    ModelStep,
)
from turnlog.domain.values import ToolCall

_large = st.integers(min_value=0, max_value=9000).map(lambda count: "ë" * count)


def calling(result: str) -> ModelStep:
    return ModelStep("", (AnsweredCall(ToolCall(id="a", name="f", arguments="{}"), result),))


def turn(*results: str, content: str = "Hi") -> ConversationTurn:
    return ConversationTurn(content, "m", "completed", tuple(map(calling, results)))


@st.composite
def large_conversations(draw: st.DrawFn) -> Conversation:
    turns = draw(st.lists(st.lists(_large, max_size=2).map(lambda results: turn(*results)), min_size=1, max_size=5))
    return Conversation("Be brief.", tuple(turns))


def results_of(each: ConversationTurn) -> list[str]:
    return [answered.result or "" for step in each.steps for answered in step.calls]


def without_results(each: ConversationTurn) -> ConversationTurn:
    steps = tuple(replace(step, calls=tuple(replace(call, result="") for call in step.calls)) for step in each.steps)
    return replace(each, steps=steps)


@unhurried
@given(large_conversations(), st.integers(min_value=0, max_value=60_000))
def test_a_conversation_fits_or_holds_only_the_running_turn_shortened(conversation: Conversation, limit: int) -> None:
    fitting = conversation.within(limit)

    if fitting.size > limit:
        assert len(fitting.turns) == 1
        sizes = [len(result.encode()) for result in results_of(fitting.turns[0])]
        assert all(size <= SHORTENED_RESULT_BYTES + 100 for size in sizes)


@unhurried
@given(large_conversations(), st.integers(min_value=0, max_value=60_000))
def test_whole_turns_are_left_out_and_the_oldest_first(conversation: Conversation, limit: int) -> None:
    fitting = conversation.within(limit)

    newest = conversation.turns[-len(fitting.turns) :]
    assert list(map(without_results, fitting.turns)) == list(map(without_results, newest))


@unhurried
@given(conversations(), st.integers(min_value=0))
def test_making_a_conversation_fit_twice_changes_nothing_more(conversation: Conversation, limit: int) -> None:
    fitting = conversation.within(limit)

    assert fitting.within(limit) == fitting


@unhurried
@given(conversations())
def test_what_fits_stays_as_it_is(conversation: Conversation) -> None:
    assert conversation.within(conversation.size) is conversation


@unhurried
@given(large_conversations())
def test_a_shortened_result_says_how_long_it_was(conversation: Conversation) -> None:
    for before, after in zip(conversation.turns[::-1], conversation.within(0).turns[::-1], strict=False):
        for long, short in zip(results_of(before), results_of(after), strict=True):
            assert long.startswith(short.partition("\n[shortened: ")[0])
            assert short == long or short.endswith(f"[shortened: {len(long.encode())} bytes in all]")


def test_results_of_earlier_turns_are_shortened_before_a_turn_is_left_out() -> None:
    conversation = Conversation("", (turn("x" * 10_000, content="first"), turn("y" * 5_000, content="second")))

    fitting = conversation.within(9_000)

    assert [each.content for each in fitting.turns] == ["first", "second"]
    assert results_of(fitting.turns[1]) == ["y" * 5_000]


def test_results_of_the_running_turn_are_shortened_only_as_far_as_needed() -> None:
    conversation = Conversation("", (turn("x" * 10_000, "y" * 10_000),))

    first, second = results_of(conversation.within(15_000).turns[0])

    assert first.startswith("x" * SHORTENED_RESULT_BYTES + "\n[shortened: 10000")
    assert second == "y" * 10_000


@pytest.mark.parametrize(("steps", "has_results"), [((), False), ((ModelStep("Hi"),), False), ((calling("1"),), True)])
def test_a_turn_that_called_a_tool_has_results(steps: tuple[ModelStep, ...], *, has_results: bool) -> None:
    conversation = Conversation("", (turn("1"), ConversationTurn("Hi", "m", "running", steps)))

    assert conversation.has_tool_results == has_results
