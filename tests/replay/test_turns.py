"""What `run_turn` requests, scenario by scenario; `call_model 1#2` is the second attempt at step 1."""

from typing import Any

import pytest

from tests.replay.conftest import Begin
from tests.replay.harness import THEN, Turn
from turnlog.domain.values import Failure

DOWN = Failure(code="model_unavailable", message="The model's server answered 503.", retryable=True)
CUT = Failure(code="model_broke_off", message="The model's stream broke off.", retryable=True)


def failure_of(turn: Turn) -> Any:
    return turn.finish_input.get("failure", {}).get("code")


def test_an_answered_turn_ends_completed_after_one_call_of_the_model(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "done")

    assert turn.requested == ["call_model 1#1", "finish_turn completed#1"]
    assert turn.ended == "done"


def test_a_model_call_that_ends_the_turn_ends_the_instance(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "ended")

    assert turn.requested == ["call_model 1#1"]
    assert turn.ended == "ended"


def test_activities_get_only_ids_and_limits(begin: Begin) -> None:
    turn = begin(max_steps=2)
    turn.reply("call_model", "tools", call_ids=["a"])

    (tool,) = turn.activities
    ids = {"session_id": "ses_1", "turn_id": "turn_1", "instance_id": "turn_1", "deadline": turn.payload["deadline"]}
    assert tool.payload == ids | {"step": 1, "attempt": 1, "last_step": False, "call_id": "a"}


def test_tools_requested_together_are_started_together(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b", "c"])

    assert turn.requested == ["call_model 1#1", "run_tool a#1", "run_tool b#1", "run_tool c#1"]
    assert turn.timers == []


def test_the_model_is_called_again_after_all_tools_have_answered(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b"])
    turn.reply("run_tool", "done", call="b")
    assert turn.requested[-1] == "run_tool b#1"
    turn.reply("run_tool", "done", call="a")
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "done")

    assert turn.requested[-2:] == ["call_model 2#1", "finish_turn completed#1"]


def test_a_cancelled_tool_cancels_the_turn_whatever_the_others_reply(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b", "c"])
    turn.reply("run_tool", "failed", call="c", failure=DOWN)
    turn.reply("run_tool", "cancelled", call="b")
    turn.reply("run_tool", "done", call="a")
    turn.reply("finish_turn", "done")

    assert turn.requested[-1] == "finish_turn cancelled#1"
    assert failure_of(turn) is None


def test_requesting_tools_in_the_last_step_is_the_step_limit(begin: Begin) -> None:
    turn = begin(max_steps=2)
    for call in ("a", "b"):
        turn.reply("call_model", "tools", call_ids=[call])
        turn.reply("run_tool", "done")
    turn.reply("finish_turn", "done")

    assert [task["last_step"] for task in _given(turn, "call_model")] == [False, True]
    assert turn.requested[-1] == "finish_turn failed#1"
    assert failure_of(turn) == "step_limit"


def _given(turn: Turn, name: str) -> list[dict[str, Any]]:
    return [payload for scheduled, payload in turn.scheduled if scheduled == name]


def test_a_turn_cancelled_before_its_first_call_ends_as_cancelled(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "cancelled")
    turn.reply("finish_turn", "done")

    assert turn.requested == ["call_model 1#1", "finish_turn cancelled#1"]


def test_a_turn_cancelled_during_a_later_call_ends_as_cancelled(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.reply("run_tool", "done")
    turn.reply("call_model", "cancelled")
    turn.reply("finish_turn", "done")

    assert turn.requested[-1] == "finish_turn cancelled#1"


def test_a_deadline_that_passes_between_steps_ends_the_turn_before_the_next_call(begin: Begin) -> None:
    turn = begin(timeout=30)
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.later(31)
    turn.reply("run_tool", "done")

    assert turn.requested[-1] == "finish_turn failed#1"
    assert failure_of(turn) == "turn_timeout"


def test_a_model_that_is_down_fails_the_turn_at_once(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "failed", failure=DOWN)
    turn.reply("finish_turn", "done")

    assert turn.requested == ["call_model 1#1", "finish_turn failed#1"]
    assert turn.finish_input["failure"] == DOWN.model_dump(exclude_none=True)


def test_a_plain_turn_needs_no_timer(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "ended")

    assert turn.latest.kinds == ["call_model"]


def test_an_attempt_whose_process_is_killed_is_followed_by_the_next_after_a_pause(begin: Begin) -> None:
    turn = begin()
    turn.fail("call_model")
    assert turn.requested == ["call_model 1#1"]
    turn.fire()
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "done")

    assert turn.requested == ["call_model 1#1", "call_model 1#2", "finish_turn completed#1"]
    assert [payload.get("after") for _, payload in turn.scheduled] == [None, "attempt_lost", None]


def test_kills_do_not_count_however_many_there_are(begin: Begin) -> None:
    turn = begin()
    for _ in range(20):
        turn.interrupt("call_model")
    turn.reply("call_model", "done")

    assert turn.requested[-2:] == ["call_model 1#21", "finish_turn completed#1"]


def test_the_pauses_between_attempts_double_up_to_their_maximum(begin: Begin) -> None:
    turn = begin()
    pauses: list[float] = []
    for _ in range(8):
        turn.fail("call_model")
        (timer,) = turn.timers
        pauses.append((timer.fire_at - turn.now).total_seconds())
        turn.fire()

    longest = [1, 2, 4, 8, 16, 30, 30, 30]
    assert all(limit / 2 <= pause <= limit for pause, limit in zip(pauses, longest, strict=True))
    assert len({round(pause / limit, 6) for pause, limit in zip(pauses, longest, strict=True)}) == 8


def test_an_attempt_that_the_store_interrupted_is_retried_until_the_deadline(begin: Begin) -> None:
    turn = begin(timeout=300)
    while not turn.requested[-1].startswith("finish_turn"):
        turn.reply("call_model", "unavailable")
        if turn.timers:
            turn.fire()

    assert len(turn.requested) > 10
    assert failure_of(turn) == "turn_lost"
    # Pauses get shorter towards the deadline: no turn fails long before it.
    seconds_left = 300 - (turn.now - THEN).total_seconds()
    assert 0 < seconds_left < 1


def test_three_errors_of_the_program_fail_the_turn(begin: Begin) -> None:
    turn = begin()
    for _ in range(2):
        turn.reply("call_model", "broken")
        turn.fire()
    turn.reply("call_model", "broken")

    assert turn.requested == ["call_model 1#1", "call_model 1#2", "call_model 1#3", "finish_turn failed#1"]
    assert failure_of(turn) == "attempt_failed"


def test_each_step_has_its_own_errors(begin: Begin) -> None:
    turn = begin()
    for outcome in ("tools", "done"):
        for _ in range(2):
            turn.reply("call_model", "broken")
            turn.fire()
        turn.reply("call_model", outcome, call_ids=["a"] if outcome == "tools" else [])
        if outcome == "tools":
            turn.reply("run_tool", "done")

    assert turn.requested[-1] == "finish_turn completed#1"


def test_of_several_tools_only_the_killed_one_is_retried(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b", "c"])
    turn.reply("run_tool", "done", call="b")
    turn.fail("run_tool", call="c")
    turn.reply("run_tool", "done", call="a")
    turn.fire()
    turn.reply("run_tool", "done", call="c")

    assert turn.requested[-2:] == ["run_tool c#2", "call_model 2#1"]


def test_tools_that_are_killed_together_are_retried_at_different_times(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b"])
    with turn.at_once():
        turn.fail("run_tool", call="a")
        turn.fail("run_tool", call="b")
    first, second = turn.timers
    assert first.fire_at != second.fire_at
    turn.fire()
    turn.fire()

    assert turn.requested[-2:] in (["run_tool a#2", "run_tool b#2"], ["run_tool b#2", "run_tool a#2"])


def test_an_end_may_still_be_retried_after_the_deadline(begin: Begin) -> None:
    turn = begin(timeout=30)
    turn.later(31)
    turn.reply("call_model", "done")
    turn.interrupt("finish_turn")
    turn.reply("finish_turn", "done")

    assert turn.requested[-1] == "finish_turn completed#2"
    assert turn.ended == "done"


def test_an_end_that_cannot_be_written_fails_the_instance(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "done")
    while turn.ended is None:
        turn.reply("finish_turn", "unavailable")
        if turn.timers:
            turn.fire()

    assert turn.ended == "raised"
    assert turn.open == {}


def test_attempts_know_how_often_the_model_was_called_until_one_fails_the_turn(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "retry", failure=CUT, calls=1)
    turn.reply("call_model", "retry", failure=CUT, calls=2)
    assert [task["calls_before"] for _, task in turn.scheduled[1:]] == [1, 3]
    turn.reply("call_model", "failed", failure=CUT, calls=1)

    assert turn.requested == ["call_model 1#1", "call_model 1#2", "call_model 1#3", "finish_turn failed#1"]
    assert turn.finish_input["failure"] == CUT.model_dump(exclude_none=True)


def test_no_timer_is_left_when_everything_is_answered(begin: Begin) -> None:
    turn = begin()
    turn.interrupt("call_model")
    turn.reply("call_model", "tools", call_ids=["a", "b"])
    turn.reply("run_tool", "done", call="a")
    turn.reply("run_tool", "done", call="b")
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "done")

    assert turn.ended == "done"
    assert turn.open == {}


def test_a_turn_superseded_at_its_model_call_ends_without_an_event(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "superseded")

    assert turn.requested == ["call_model 1#1"]
    assert turn.ended == "superseded"


def test_a_turn_superseded_at_one_of_its_tools_ends_without_an_event(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b"])
    turn.reply("run_tool", "cancelled", call="a")
    turn.reply("run_tool", "superseded", call="b")

    assert turn.ended == "superseded"
    assert not any(name.startswith("finish_turn") for name in turn.requested)


def test_a_turn_superseded_at_its_end_ends(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "superseded")

    assert turn.requested == ["call_model 1#1", "finish_turn completed#1"]
    assert turn.ended == "superseded"


def test_the_next_instance_continues_to_number_the_attempts(begin: Begin) -> None:
    turn = begin(first_attempt=4)
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.interrupt("run_tool")
    turn.reply("run_tool", "done")
    turn.interrupt("call_model")
    turn.reply("call_model", "done")

    assert turn.requested == [
        "call_model 1#4",
        "run_tool a#4",
        "run_tool a#5",
        "call_model 2#4",
        "call_model 2#5",
        "finish_turn completed#1",
    ]


def test_a_turn_with_an_unread_message_continues_with_another_step(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "done")
    assert turn.finish_input["continues_after"] == 1
    turn.reply("finish_turn", "continues")
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.reply("run_tool", "done")
    turn.reply("call_model", "done")
    assert turn.finish_input["continues_after"] == 3
    turn.reply("finish_turn", "done")

    assert turn.requested == [
        "call_model 1#1",
        "finish_turn completed#1",
        "call_model 2#1",
        "run_tool a#1",
        "call_model 3#1",
        "finish_turn completed#1",
    ]
    assert turn.ended == "done"


def test_a_turn_may_not_continue_after_its_last_step(begin: Begin) -> None:
    turn = begin(max_steps=2)
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "continues")
    turn.reply("call_model", "done")

    assert [task["last_step"] for task in _given(turn, "call_model")] == [False, True]
    assert "continues_after" not in turn.finish_input


@pytest.mark.parametrize("outcome", ["cancelled", "failed"])
def test_a_turn_that_was_stopped_or_failed_may_not_continue(begin: Begin, outcome: str) -> None:
    turn = begin()
    turn.reply("call_model", outcome, failure=DOWN if outcome == "failed" else None)

    assert "continues_after" not in turn.finish_input


def test_a_turn_that_continues_is_cancelled_and_superseded_like_any_other(begin: Begin) -> None:
    for outcome, ended in (("cancelled", "finish_turn cancelled#1"), ("superseded", "call_model 2#1")):
        turn = begin()
        turn.reply("call_model", "done")
        turn.reply("finish_turn", "continues")
        turn.reply("call_model", outcome)

        assert turn.requested[-1] == ended


def test_a_deadline_that_passes_before_a_turn_continues_ends_it(begin: Begin) -> None:
    turn = begin(timeout=30)
    turn.reply("call_model", "done")
    turn.later(31)
    turn.reply("finish_turn", "continues")

    assert turn.requested[-1] == "finish_turn failed#1"
    assert failure_of(turn) == "turn_timeout"
    assert "continues_after" not in turn.finish_input


def test_the_next_instance_finds_the_later_steps_of_a_turn_that_continued(begin: Begin) -> None:
    turn = begin(first_attempt=2)
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "continues")

    assert turn.requested[-1] == "call_model 2#2"
