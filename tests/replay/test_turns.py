"""What `run_turn` asks for, scenario by scenario; `call_model 1#2` is the second attempt of step 1."""

from typing import Any

import pytest

from shared.domain.values import Failure
from tests.replay.conftest import Begin
from tests.replay.harness import Turn

DOWN = Failure(code="model_unavailable", message="The model's server answered 503.", retryable=True)
CUT = Failure(code="model_broke_off", message="The model's stream broke off.", retryable=True)


def failure_of(turn: Turn) -> Any:
    return turn.finish_input.get("failure", {}).get("code")


def test_an_answered_turn_ends_completed_after_one_call_of_the_model(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "done")

    assert turn.asked == ["call_model 1#1", "finish_turn completed#1"]
    assert turn.ended == "done"


def test_a_model_call_that_ends_the_turn_ends_the_instance(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "ended")

    assert turn.asked == ["call_model 1#1"]
    assert turn.ended == "ended"


def test_activities_are_told_ids_and_limits_only(begin: Begin) -> None:
    turn = begin(max_steps=2)
    turn.reply("call_model", "tools", call_ids=["a"])

    (tool,) = turn.activities
    ids = {"session_id": "ses_1", "turn_id": "turn_1", "instance_id": "turn_1", "deadline": turn.given["deadline"]}
    assert tool.given == ids | {"step": 1, "attempt": 1, "last_step": False, "call_id": "a"}


def test_tools_asked_for_together_are_started_together(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b", "c"])

    assert turn.asked == ["call_model 1#1", "run_tool a#1", "run_tool b#1", "run_tool c#1"]
    assert len(turn.timers) == 1


def test_the_model_is_called_again_once_all_tools_have_answered_in_any_order(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b"])
    turn.reply("run_tool", "done", call="b")
    assert turn.asked[-1] == "run_tool b#1"
    turn.reply("run_tool", "done", call="a")
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "done")

    assert turn.asked[-2:] == ["call_model 2#1", "finish_turn completed#1"]


def test_a_tool_that_fails_three_times_fails_the_turn_once_the_others_have_answered(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b"])
    for _ in range(3):
        turn.fail("run_tool", call="a")
    assert turn.asked[1:] == ["run_tool a#1", "run_tool b#1", "run_tool a#2", "run_tool a#3"]
    turn.reply("run_tool", "done", call="b")

    assert turn.asked[-1] == "finish_turn failed#1"
    assert failure_of(turn) == "attempt_failed"


def test_a_cancelled_tool_ends_the_turn_as_cancelled_whatever_became_of_the_others(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b", "c"])
    turn.reply("run_tool", "failed", call="c", failure=DOWN)
    turn.reply("run_tool", "cancelled", call="b")
    turn.reply("run_tool", "done", call="a")
    turn.reply("finish_turn", "done")

    assert turn.asked[-1] == "finish_turn cancelled#1"
    assert failure_of(turn) is None


def test_the_last_step_is_told_so_and_asking_for_tools_there_is_the_step_limit(begin: Begin) -> None:
    turn = begin(max_steps=2)
    for call in ("a", "b"):
        turn.reply("call_model", "tools", call_ids=[call])
        turn.reply("run_tool", "done")
    turn.reply("finish_turn", "done")

    assert [task["last_step"] for task in _given(turn, "call_model")] == [False, True]
    assert turn.asked[-1] == "finish_turn failed#1"
    assert failure_of(turn) == "step_limit"


def _given(turn: Turn, name: str) -> list[dict[str, Any]]:
    return [given for asked, given in turn.scheduled if asked == name]


def test_a_turn_cancelled_before_its_first_call_ends_as_cancelled(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "cancelled")
    turn.reply("finish_turn", "done")

    assert turn.asked == ["call_model 1#1", "finish_turn cancelled#1"]


def test_a_turn_cancelled_during_a_later_call_ends_as_cancelled(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.reply("run_tool", "done")
    turn.fire()
    turn.look("alive")
    turn.reply("call_model", "cancelled")
    turn.reply("finish_turn", "done")

    assert turn.asked[-1] == "finish_turn cancelled#1"


def test_a_deadline_that_passes_between_steps_ends_the_turn_before_the_next_call(begin: Begin) -> None:
    turn = begin(timeout=30, look_after=20)
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.fire()
    turn.later(11)
    turn.reply("run_tool", "done")

    assert turn.asked[-1] == "finish_turn failed#1"
    assert failure_of(turn) == "turn_timeout"


def test_a_call_that_outlives_the_deadline_is_given_up_after_one_more_look(begin: Begin) -> None:
    turn = begin(timeout=30, look_after=20)
    for _ in range(2):
        turn.fire()
        turn.look("alive")
    turn.fire()

    assert turn.asked == ["call_model 1#1", "look at 1#1", "look at 1#1", "finish_turn failed#1"]
    assert failure_of(turn) == "turn_timeout"


def test_a_model_that_is_down_fails_the_turn_at_once(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "failed", failure=DOWN)
    turn.reply("finish_turn", "done")

    assert turn.asked == ["call_model 1#1", "finish_turn failed#1"]
    assert turn.finish_input["failure"] == DOWN.model_dump()


def test_an_attempt_that_raises_is_followed_by_the_next(begin: Begin) -> None:
    turn = begin()
    turn.fail("call_model")
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "done")

    assert turn.asked == ["call_model 1#1", "call_model 1#2", "finish_turn completed#1"]


def test_attempts_that_break_off_three_times_fail_the_turn_with_the_last_failure(begin: Begin) -> None:
    turn = begin()
    for failure in (DOWN, DOWN, CUT):
        turn.reply("call_model", "retry", failure=failure)

    assert turn.asked == ["call_model 1#1", "call_model 1#2", "call_model 1#3", "finish_turn failed#1"]
    assert turn.finish_input["failure"] == CUT.model_dump()


def test_each_step_has_three_attempts_of_its_own(begin: Begin) -> None:
    turn = begin()
    for _ in range(2):
        turn.fail("call_model")
    turn.reply("call_model", "tools", call_ids=["a"])
    for _ in range(2):
        turn.fail("run_tool")
    turn.reply("run_tool", "done")
    for _ in range(2):
        turn.fail("call_model")
    turn.reply("call_model", "done")

    assert turn.asked[-1] == "finish_turn completed#1"


def test_a_dead_attempt_is_followed_by_the_next(begin: Begin) -> None:
    turn = begin()
    turn.fire()
    turn.look("lost")

    assert turn.asked == ["call_model 1#1", "look at 1#1", "call_model 1#2"]


def test_an_attempt_found_dead_three_times_is_lost(begin: Begin) -> None:
    turn = begin()
    for _ in range(3):
        turn.fire()
        turn.look("lost")

    assert turn.asked[-1] == "finish_turn failed#1"
    assert failure_of(turn) == "attempt_lost"


def test_a_living_attempt_is_left_alone_however_long_it_takes(begin: Begin) -> None:
    turn = begin()
    for _ in range(10):
        turn.fire()
        turn.look("alive")
    turn.reply("call_model", "done")

    assert turn.asked == ["call_model 1#1", *["look at 1#1"] * 10, "finish_turn completed#1"]


def test_an_attempt_found_unbegun_twice_is_issued_again_without_counting_as_failed(begin: Begin) -> None:
    turn = begin()
    for _ in range(4):
        for _ in range(2):
            turn.fire()
            turn.look("not_begun")
    turn.reply("call_model", "done")

    assert [asked for asked in turn.asked if "look" not in asked] == [
        "call_model 1#1",
        "call_model 1#2",
        "call_model 1#3",
        "call_model 1#4",
        "call_model 1#5",
        "finish_turn completed#1",
    ]


def test_an_attempt_that_was_unbegun_once_and_then_lives_is_left_alone(begin: Begin) -> None:
    turn = begin()
    for verdict in ("not_begun", "alive", "not_begun", "alive"):
        turn.fire()
        turn.look(verdict)

    assert turn.asked == ["call_model 1#1", *["look at 1#1"] * 4]


def test_of_several_tools_only_the_dead_one_is_tried_again(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b", "c"])
    turn.reply("run_tool", "done", call="b")
    turn.fire()
    turn.look("alive", "lost")

    assert turn.asked[-2:] == ["look at a#1, c#1", "run_tool c#2"]


def test_a_look_that_never_comes_back_is_replaced_when_the_timer_fires_again(begin: Begin) -> None:
    turn = begin()
    turn.fire()
    turn.fire()
    turn.look("lost")

    assert turn.asked == ["call_model 1#1", "look at 1#1", "look at 1#1", "call_model 1#2"]


def test_a_replaced_look_is_not_listened_to(begin: Begin) -> None:
    turn = begin()
    turn.fire()
    (lost,) = [task for task in turn.activities if task.name == "look"]
    turn.fire()
    turn.complete(lost, {"verdicts": ["lost"]})

    assert turn.asked == ["call_model 1#1", "look at 1#1", "look at 1#1"]


def test_a_look_that_fails_judges_nobody(begin: Begin) -> None:
    turn = begin()
    turn.fire()
    turn.fail("look")
    turn.reply("call_model", "done")

    assert turn.asked == ["call_model 1#1", "look at 1#1", "finish_turn completed#1"]


def test_a_verdict_on_an_attempt_that_has_failed_meanwhile_does_not_touch_the_next(begin: Begin) -> None:
    turn = begin()
    turn.fire()
    turn.fail("call_model")
    turn.look("lost")

    assert turn.asked == ["call_model 1#1", "look at 1#1", "call_model 1#2"]


def test_a_reply_and_a_verdict_found_together_do_not_start_another_attempt(begin: Begin) -> None:
    for answered_first in (True, False):
        turn = begin()
        turn.fire()
        with turn.at_once():
            if answered_first:
                turn.reply("call_model", "done")
            turn.look("alive")
            if not answered_first:
                turn.reply("call_model", "done")

        assert turn.asked == ["call_model 1#1", "look at 1#1", "finish_turn completed#1"]


@pytest.mark.parametrize("fired_first", [True, False])
def test_a_reply_and_the_timer_found_together_end_the_call(begin: Begin, fired_first: bool) -> None:
    turn = begin()
    with turn.at_once():
        if fired_first:
            turn.fire()
        turn.reply("call_model", "done")
        if not fired_first:
            turn.fire()
    turn.reply("finish_turn", "done")

    assert turn.asked[-1] == "finish_turn completed#1"
    assert turn.timers == []


def test_a_late_reply_of_an_abandoned_attempt_changes_nothing(begin: Begin) -> None:
    turn = begin()
    turn.fire()
    turn.look("lost")
    turn.reply("call_model", "failed", attempt=1, failure=DOWN)
    assert turn.asked == ["call_model 1#1", "look at 1#1", "call_model 1#2"]
    turn.reply("call_model", "done", attempt=2)

    assert turn.asked[-1] == "finish_turn completed#1"


def test_a_late_failure_of_an_abandoned_attempt_does_not_count(begin: Begin) -> None:
    turn = begin()
    for attempt in (1, 2):
        turn.fire()
        turn.look("lost")
        turn.fail("call_model", attempt=attempt)
    turn.reply("call_model", "done")

    assert turn.asked[-1] == "finish_turn completed#1"


def test_no_timer_is_left_when_everything_is_answered(begin: Begin) -> None:
    turn = begin()
    turn.fire()
    turn.look("alive")
    turn.reply("call_model", "tools", call_ids=["a", "b"])
    turn.reply("run_tool", "done", call="a")
    turn.reply("run_tool", "done", call="b")
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "done")

    assert turn.ended == "done"
    assert turn.open == {}


def test_a_turn_superseded_at_its_model_call_ends_without_a_word(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "superseded")

    assert turn.asked == ["call_model 1#1"]
    assert turn.ended == "superseded"


def test_a_turn_superseded_at_one_of_its_tools_ends_without_a_word(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b"])
    turn.reply("run_tool", "cancelled", call="a")
    turn.reply("run_tool", "superseded", call="b")

    assert turn.ended == "superseded"
    assert not any(asked.startswith("finish_turn") for asked in turn.asked)


def test_a_turn_superseded_at_its_end_ends(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "superseded")

    assert turn.asked == ["call_model 1#1", "finish_turn completed#1"]
    assert turn.ended == "superseded"


def test_an_end_that_fails_three_times_fails_the_instance(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "done")
    for _ in range(3):
        turn.fail("finish_turn")

    assert turn.asked[1:] == ["finish_turn completed#1", "finish_turn completed#2", "finish_turn completed#3"]
    assert turn.ended == "raised"
    assert turn.open == {}


def test_an_instance_that_takes_a_turn_over_counts_on_from_the_attempts_before_it(begin: Begin) -> None:
    turn = begin(first_attempt=4)
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.fail("run_tool")
    turn.reply("run_tool", "done")
    turn.fail("call_model")
    turn.reply("call_model", "done")

    assert turn.asked == [
        "call_model 1#4",
        "run_tool a#4",
        "run_tool a#5",
        "call_model 2#4",
        "call_model 2#5",
        "finish_turn completed#1",
    ]


def test_a_turn_with_a_message_yet_to_be_read_goes_on_with_another_step(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "done")
    assert turn.finish_input["continues_after"] == 1
    turn.reply("finish_turn", "continues")
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.reply("run_tool", "done")
    turn.reply("call_model", "done")
    assert turn.finish_input["continues_after"] == 3
    turn.reply("finish_turn", "done")

    assert turn.asked == [
        "call_model 1#1",
        "finish_turn completed#1",
        "call_model 2#1",
        "run_tool a#1",
        "call_model 3#1",
        "finish_turn completed#1",
    ]
    assert turn.ended == "done"


def test_a_turn_may_not_go_on_after_its_last_step(begin: Begin) -> None:
    turn = begin(max_steps=2)
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "continues")
    turn.reply("call_model", "done")

    assert [task["last_step"] for task in _given(turn, "call_model")] == [False, True]
    assert "continues_after" not in turn.finish_input


@pytest.mark.parametrize("outcome", ["cancelled", "failed"])
def test_a_turn_that_was_stopped_or_failed_may_not_go_on(begin: Begin, outcome: str) -> None:
    turn = begin()
    turn.reply("call_model", outcome, failure=DOWN if outcome == "failed" else None)

    assert "continues_after" not in turn.finish_input


def test_a_turn_that_goes_on_is_cancelled_and_superseded_like_any_other(begin: Begin) -> None:
    for outcome, ended in (("cancelled", "finish_turn cancelled#1"), ("superseded", "call_model 2#1")):
        turn = begin()
        turn.reply("call_model", "done")
        turn.reply("finish_turn", "continues")
        turn.reply("call_model", outcome)

        assert turn.asked[-1] == ended


def test_a_deadline_that_passes_before_a_turn_goes_on_ends_it(begin: Begin) -> None:
    turn = begin(timeout=30, look_after=60)
    turn.reply("call_model", "done")
    turn.later(31)
    turn.reply("finish_turn", "continues")

    assert turn.asked[-1] == "finish_turn failed#1"
    assert failure_of(turn) == "turn_timeout"
    assert "continues_after" not in turn.finish_input


def test_an_instance_that_takes_over_a_turn_that_went_on_finds_its_later_steps(begin: Begin) -> None:
    turn = begin(first_attempt=2)
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "continues")

    assert turn.asked[-1] == "call_model 2#2"
