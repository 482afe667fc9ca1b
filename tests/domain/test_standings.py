"""Which execution may act on a turn, by the log."""

import pytest

from tests.domain.factories import FENCE, TURN, fold_events, new_state
from turnlog.domain.events import (
    EventData,
    MessageComplete,
    MessageStart,
    RunComplete,
    RunHandover,
    RunStart,
    Status,
    ToolCallComplete,
    ToolCallStart,
    UserMessage,
)
from turnlog.domain.ids import InstanceId, TurnId, WriterId
from turnlog.domain.session import SessionState
from turnlog.domain.turn import Fence, Permission, permission_for_step, permission_for_tool

ME, OTHER = WriterId("me"), WriterId("other")
CANCEL = Status(status="cancelling")
END = RunComplete(status="completed", steps=1, usage={}, duration_ms=0, model="m")
HANDOVER = RunHandover(instance_id=f"{TURN}~2")

Appended = tuple[WriterId, EventData]


def state_after(events: list[Appended]) -> SessionState:
    state = fold_events(new_state(), UserMessage(content="Hello"), RunStart(agent="assistant", model="m"))
    for writer, data in events:
        state = fold_events(state, data, writer=writer)
    return state


def step(number: int, attempt: int) -> MessageStart:
    return MessageStart(step=number, attempt=attempt)


def answer(number: int, attempt: int = 1) -> MessageComplete:
    return MessageComplete(step=number, attempt=attempt, text="Hi")


def tool(attempt: int) -> ToolCallStart:
    return ToolCallStart(id="call_a", step=1, attempt=attempt, name="t", arguments="{}")


TOOL_ANSWER = ToolCallComplete(id="call_a", step=1, name="t", arguments="{}", status="completed", duration_ms=0)
STEP_ONE: list[Appended] = [(OTHER, step(1, 1)), (OTHER, answer(1))]


@pytest.mark.parametrize(
    ("events", "number", "attempt", "expected"),
    [
        ([], 1, 1, Permission.BEGIN),
        ([(ME, step(1, 1))], 1, 1, Permission.ACT),
        ([(OTHER, step(1, 1))], 1, 1, Permission.FOLLOW),
        ([(OTHER, step(1, 1))], 1, 2, Permission.BEGIN),
        ([(ME, step(1, 1)), (OTHER, step(1, 2))], 1, 1, Permission.SUPERSEDED),
        ([(ME, step(1, 2))], 1, 1, Permission.SUPERSEDED),
        (STEP_ONE, 1, 1, Permission.DONE),
        (STEP_ONE, 1, 2, Permission.DONE),
        (STEP_ONE, 2, 1, Permission.BEGIN),
        ([*STEP_ONE, (OTHER, step(2, 3))], 1, 1, Permission.DONE),
        ([(OTHER, CANCEL)], 1, 1, Permission.CANCELLED),
        ([(ME, step(1, 1)), (OTHER, CANCEL)], 1, 1, Permission.CANCELLED),
        ([(OTHER, step(1, 1)), (OTHER, CANCEL)], 1, 2, Permission.CANCELLED),
        ([*STEP_ONE, (OTHER, CANCEL)], 1, 1, Permission.DONE),
        ([*STEP_ONE, (OTHER, CANCEL)], 2, 1, Permission.CANCELLED),
        ([(OTHER, step(1, 2)), (OTHER, CANCEL)], 1, 1, Permission.SUPERSEDED),
        ([(ME, step(1, 1)), (OTHER, HANDOVER)], 1, 1, Permission.SUPERSEDED),
        ([(ME, step(1, 1)), (OTHER, END)], 1, 1, Permission.SUPERSEDED),
    ],
)
def test_permission_for_a_step(events: list[Appended], number: int, attempt: int, expected: Permission) -> None:
    assert permission_for_step(state_after(events), FENCE, number, attempt, ME) is expected


@pytest.mark.parametrize(
    ("events", "attempt", "expected"),
    [
        ([], 1, Permission.BEGIN),
        ([(ME, tool(1))], 1, Permission.ACT),
        ([(OTHER, tool(1))], 1, Permission.FOLLOW),
        ([(OTHER, tool(1))], 2, Permission.BEGIN),
        ([(OTHER, tool(2))], 1, Permission.SUPERSEDED),
        ([(OTHER, tool(1)), (OTHER, TOOL_ANSWER)], 1, Permission.DONE),
        ([(OTHER, tool(1)), (OTHER, TOOL_ANSWER), (OTHER, CANCEL)], 2, Permission.DONE),
        ([(OTHER, CANCEL)], 1, Permission.CANCELLED),
        ([(ME, tool(1)), (OTHER, CANCEL)], 1, Permission.CANCELLED),
        ([(ME, tool(1)), (OTHER, HANDOVER)], 1, Permission.SUPERSEDED),
        ([(ME, tool(1)), (OTHER, END)], 1, Permission.SUPERSEDED),
    ],
)
def test_permission_for_a_tool_call(events: list[Appended], attempt: int, expected: Permission) -> None:
    assert permission_for_tool(state_after([*STEP_ONE, *events]), FENCE, "call_a", attempt, ME) is expected


def test_a_fence_holds_its_turn_for_its_instance_only() -> None:
    state = state_after([])

    assert FENCE.turn_in(state) == state.active_turn
    assert Fence(TURN, InstanceId(f"{TURN}~2")).turn_in(state) is None
    assert Fence(TurnId("turn_2"), FENCE.instance_id).turn_in(state) is None
    assert FENCE.turn_in(state_after([(OTHER, END)])) is None


def test_after_a_handover_the_new_instance_continues_where_the_old_one_stopped() -> None:
    state = state_after([*STEP_ONE, (OTHER, step(2, 1)), (OTHER, HANDOVER)])
    fence = Fence(TURN, InstanceId(f"{TURN}~2"))

    assert permission_for_step(state, fence, 1, 2, ME) is Permission.DONE
    assert permission_for_step(state, fence, 2, 2, ME) is Permission.BEGIN
