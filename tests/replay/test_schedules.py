"""Whatever happens in whatever order, a turn ends, and in one way only."""

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.replay.harness import Task, Turn
from turnlog.domain.values import Failure

_FAILURE = Failure(code="model_unavailable", message="The model's server answered 503.", retryable=True)
_OUTCOMES = {
    "call_model": ["done", "tools", "tools", "cancelled", "failed", "retry", "superseded", "broken", "unavailable"],
    "run_tool": ["done", "done", "done", "cancelled", "failed", "superseded", "broken", "unavailable"],
    "finish_turn": ["done", "continues", "superseded", "unavailable"],
}


def _reply(data: st.DataObject, task: Task) -> dict[str, Any]:
    outcome = data.draw(st.sampled_from(_OUTCOMES[task.name]))
    if outcome == "continues" and "continues_after" not in task.payload:
        outcome = "done"
    calls = [f"{task.payload['step']}{letter}" for letter in "ab"[: data.draw(st.integers(1, 2))]]
    failure = _FAILURE.model_dump() if outcome in {"failed", "retry"} else None
    return {"outcome": outcome, "call_ids": calls if outcome == "tools" else [], "failure": failure}


def _happens(data: st.DataObject, turn: Turn) -> None:
    """One episode in which one or two open tasks end, also abandoned ones, in any order."""
    tasks = st.lists(st.sampled_from(list(turn.open.values())), min_size=1, max_size=2, unique_by=lambda each: each.id)
    with turn.at_once():
        for task in data.draw(tasks):
            if not task.name:
                turn.fire(task)
            elif data.draw(st.booleans()):
                turn.complete(task, _reply(data, task))
            else:
                turn.fail_task(task)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 3), st.sampled_from([40.0, 200.0]), st.integers(1, 3))
def test_every_schedule_ends_the_turn_in_one_way_only(
    data: st.DataObject, max_steps: int, timeout: float, first: int
) -> None:
    turn = Turn(max_steps=max_steps, timeout=timeout, first_attempt=first)
    while turn.ended is None:
        assert turn.open, "nothing can happen any more"
        _happens(data, turn)
        assert len(turn.history) < 2000, "it never ends"

    attempts: dict[Any, list[int]] = defaultdict(list)
    ends: list[Any] = []
    for name, work in turn.scheduled:
        match name:
            case "finish_turn":
                ends.append((work["ends"], work.get("failure"), work.get("continues_after")))
                attempts[name, len(set(map(str, ends))), None].append(work["attempt"])
                continue
            case "call_model":
                *_, (_, _, continues_after) = ends or [(None, None, work["step"] - 1)]
                assert continues_after is not None, "a turn that has ended continues"
                assert work["step"] > continues_after
            case _:
                pass
        attempts[name, work["step"], work.get("call_id")].append(work["attempt"])
    assert all(numbers == sorted(set(numbers)) for numbers in attempts.values())
    assert ends or turn.ended == "superseded"
    assert turn.timers == []
    turn.check_replay(data.draw(st.integers(2, len(turn.history))))
