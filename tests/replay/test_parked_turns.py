"""What `run_turn` requests when calls wait for an action from outside."""

import pytest

from tests.replay.conftest import Begin
from turnlog.domain.values import Failure

DOWN = Failure(code="attempt_failed", message="The attempt broke off.")


def test_a_turn_parks_after_all_other_tools_have_answered(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b", "c"])
    turn.reply("run_tool", "waits", call="a")
    turn.reply("run_tool", "waits", call="c")
    assert turn.requested[-1] == "run_tool c#1"
    turn.reply("run_tool", "done", call="b")
    turn.reply("park_turn", "parked")

    assert turn.requested[-1] == "park_turn 0#1"
    assert turn.ended == "parked"
    assert turn.open == {}


@pytest.mark.parametrize(
    ("outcome", "end"), [("cancelled", "finish_turn cancelled#1"), ("failed", "finish_turn failed#1")]
)
def test_a_call_that_stops_the_turn_decides_before_one_that_waits(begin: Begin, outcome: str, end: str) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a", "b"])
    turn.reply("run_tool", "waits", call="a")
    turn.reply("run_tool", outcome, call="b", failure=DOWN if outcome == "failed" else None)

    assert turn.requested[-1] == end


def test_a_turn_cancelled_before_it_parked_ends(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.reply("run_tool", "waits")
    turn.reply("park_turn", "cancelled")
    turn.reply("finish_turn", "done")

    assert turn.requested[-1] == "finish_turn cancelled#1"
    assert turn.ended == "done"


def test_an_instance_superseded_before_it_parked_ends_without_an_event(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.reply("run_tool", "waits")
    turn.reply("park_turn", "superseded")

    assert turn.ended == "superseded"


def test_parking_that_breaks_off_is_retried(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.reply("run_tool", "waits")
    for _ in range(2):
        turn.interrupt("park_turn")
    turn.reply("park_turn", "parked")

    assert turn.requested[-3:] == ["park_turn 0#1", "park_turn 0#2", "park_turn 0#3"]
    assert turn.ended == "parked"


def test_three_errors_while_parking_fail_the_turn(begin: Begin) -> None:
    turn = begin()
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.reply("run_tool", "waits")
    for number in range(3):
        turn.reply("park_turn", "broken")
        if number < 2:
            turn.fire()

    assert turn.requested[-1] == "finish_turn failed#1"
