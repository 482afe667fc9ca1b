"""Recorded histories of a release: `python -m tests.replay.recording 1.0.0` records today's.

Instances outlive deployments. A release's folder is recorded once, with the code of that release, and must replay from
then on. An orchestrator that cannot replay it any more needs another name.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.replay.harness import Turn
from turnlog.domain.values import Failure

FOLDER = Path(__file__).parent / "histories"

_CUT = Failure(code="model_broke_off", message="The model's stream broke off.", retryable=True)


def answered() -> Turn:
    turn = Turn()
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "done")
    return turn


def tools() -> Turn:
    """Two steps with several tools: one is killed, and the store interrupts another."""
    turn = Turn()
    turn.reply("call_model", "tools", call_ids=["a", "b", "c"])
    turn.fail("run_tool", call="b")
    turn.reply("run_tool", "unavailable", call="c")
    turn.fire()
    turn.reply("run_tool", "done", call="a")
    turn.fire()
    turn.reply("run_tool", "done", call="b")
    turn.reply("run_tool", "done", call="c")
    turn.reply("call_model", "tools", call_ids=["d"])
    turn.reply("run_tool", "done")
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "done")
    return turn


def broken_off() -> Turn:
    """The model breaks off, an attempt is killed, another has an error, and the fourth answers."""
    turn = Turn()
    turn.reply("call_model", "retry", failure=_CUT)
    turn.interrupt("call_model")
    turn.reply("call_model", "broken")
    turn.fire()
    turn.reply("call_model", "done", attempt=4)
    turn.interrupt("finish_turn")
    turn.reply("finish_turn", "done")
    return turn


def cancelled() -> Turn:
    turn = Turn()
    turn.reply("call_model", "tools", call_ids=["a", "b"])
    turn.reply("run_tool", "cancelled", call="b")
    turn.reply("run_tool", "cancelled", call="a")
    turn.reply("finish_turn", "done")
    return turn


def timed_out() -> Turn:
    turn = Turn(timeout=30)
    turn.later(31)
    turn.reply("call_model", "unavailable")
    turn.reply("finish_turn", "done")
    return turn


def steered() -> Turn:
    """Twice the end finds an unread message; the first time in its second attempt."""
    turn = Turn()
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.reply("run_tool", "done")
    turn.reply("call_model", "done")
    turn.interrupt("finish_turn")
    turn.reply("finish_turn", "continues")
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "continues")
    turn.reply("call_model", "tools", call_ids=["b"])
    turn.reply("run_tool", "done")
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "done")
    return turn


def step_limit() -> Turn:
    turn = Turn(max_steps=1)
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.reply("run_tool", "done")
    turn.reply("finish_turn", "done")
    return turn


def superseded() -> Turn:
    turn = Turn(first_attempt=3)
    turn.reply("call_model", "superseded")
    return turn


def failed() -> Turn:
    turn = Turn()
    turn.reply("call_model", "retry", failure=_CUT, calls=1)
    turn.reply("call_model", "retry", failure=_CUT, calls=2)
    turn.reply("call_model", "failed", failure=_CUT, calls=1)
    for _ in range(2):
        turn.reply("finish_turn", "broken")
        turn.fire()
    turn.reply("finish_turn", "broken")
    return turn


def parked() -> Turn:
    """Of three calls two wait for an action; the first attempt at parking fails."""
    turn = Turn()
    turn.reply("call_model", "tools", call_ids=["a", "b", "c"])
    turn.reply("run_tool", "waits", call="a")
    turn.reply("run_tool", "done", call="b")
    turn.reply("run_tool", "waits", call="c")
    turn.interrupt("park_turn")
    turn.reply("park_turn", "parked")
    return turn


def resumed() -> Turn:
    """The instance after the one that parked: it finds the recorded steps, then the turn continues."""
    turn = Turn(first_attempt=2)
    turn.reply("call_model", "tools", call_ids=["a", "b"])
    turn.reply("run_tool", "done", call="a")
    turn.reply("run_tool", "done", call="b")
    turn.reply("call_model", "done")
    turn.reply("finish_turn", "done")
    return turn


def cancelled_while_parking() -> Turn:
    turn = Turn()
    turn.reply("call_model", "tools", call_ids=["a"])
    turn.reply("run_tool", "waits")
    turn.reply("park_turn", "cancelled")
    turn.reply("finish_turn", "done")
    return turn


SCENARIOS: list[Callable[[], Turn]] = [
    answered,
    tools,
    broken_off,
    cancelled,
    timed_out,
    steered,
    step_limit,
    superseded,
    failed,
    parked,
    resumed,
    cancelled_while_parking,
]


def record(release: str) -> None:
    """Write the histories of today's code into the folder of `release`, which must not exist."""
    folder = FOLDER / release
    folder.mkdir(parents=True)
    for scenario in SCENARIOS:
        turn = scenario()
        recorded = {"input": turn.payload, "history": turn.history, "ended": turn.ended}
        text = json.dumps(recorded, indent=1, ensure_ascii=False)
        (folder / f"{scenario.__name__}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    record(sys.argv[1])
