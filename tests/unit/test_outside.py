"""Nothing that an event from outside says can steer a turn, whatever it calls itself and whoever's ids it bears."""

from typing import Any, get_args

import pytest

from shared.api.shapes.events import OutsideEvent
from shared.domain.events import (
    EventData,
    MessageStart,
    Outside,
    RunStart,
    ToolCallStart,
    UserMessage,
)
from shared.domain.history import Walk, attempt_of, settles_attempt
from shared.domain.ids import WriterId
from shared.domain.session import SessionState
from shared.domain.turn import standing_of_step, standing_of_tool
from shared.services.messages import EndOf
from shared.services.turns.submit import NewMessage
from shared.wiring import Services
from tests.unit.telling import FENCE, MESSAGE, OWNER, TRACE, TURN, after, created, events_of, opened, posted, state_of

CALL = "call_1"
OWN = sorted(kind.model_fields["type"].default for kind in get_args(get_args(EventData)[0]) if kind is not Outside)
KINDS = [*OWN, "session_stop", "session_start", "message", "tool_call.action", "tool_call.action_required", "done", "x"]
FIELDS: dict[str, Any] = {
    "turn_id": TURN,
    "message_id": MESSAGE,
    "instance_id": f"{TURN}~9",
    "writer": "w9",
    "step": 1,
    "attempt": 9,
    "id": CALL,
    "status": "cancelling",
    "decision": "deny",
    "text": "not mine",
    "message": "not mine",
    "role": "assistant",
    "content": "not mine",
    "on_busy": "interrupt",
    "total_tokens": 10**9,
    "changes": {"archived": True},
    "agent": "other",
    "model": "other",
}


def running() -> SessionState:
    """A session whose turn calls a tool in its first step, as the attempts of `w1`."""
    state = after(created(), UserMessage(content="Hello"), RunStart(agent="assistant", model="fake"))
    started = ToolCallStart(id=CALL, step=1, attempt=1, name="calculate", arguments="{}")
    return after(state, MessageStart(step=1, attempt=1), started)


@pytest.mark.parametrize("kind", KINDS)
def test_a_running_turn_stays_as_it_is(kind: str) -> None:
    state = running()

    told = after(state, Outside(event_type=kind, fields=FIELDS), message=None, turn=None, writer="w9")

    assert told.active_turn == state.active_turn
    assert (told.queue, told.archived, told.deleted, told.agent_name) == ((), False, False, state.agent_name)
    assert (told.status, told.ui_state, told.usage, told.run_meta) == ("running", "running", state.usage, None)
    for writer in map(WriterId, ("w1", "w9")):
        for attempt in (1, 2):
            standing = standing_of_step(state, FENCE, 1, attempt, writer)
            assert standing_of_step(told, FENCE, 1, attempt, writer) == standing
            assert standing_of_tool(told, FENCE, CALL, attempt, writer) == standing_of_tool(
                state, FENCE, CALL, attempt, writer
            )


@pytest.mark.parametrize("kind", KINDS)
def test_a_waiting_message_goes_on_waiting(kind: str) -> None:
    outside = Outside(event_type=kind, fields=FIELDS)

    told = after(created(), outside, message=None, turn=None)

    assert (told.active_turn, told.queue, told.usage) == (None, (), created().usage)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_takes_it_for_an_event_of_the_turn(on: Services, kind: str) -> None:
    message = await posted(on, await opened(on))
    waiting = await on.turns.submit(OWNER, message.session_id, NewMessage("Next", TRACE))
    before = await state_of(on, message.session_id)
    ids = {"turn_id": message.turn_id, "message_id": waiting.message.id}

    await on.events.append(OWNER, message.session_id, [(kind, {**FIELDS, **ids})], TRACE)

    event = (await events_of(on, message.session_id))[-1]
    state = await state_of(on, message.session_id)
    assert (event.turn_id, event.message_id) == (None, None)
    assert (state.active_turn, state.queue) == (before.active_turn, before.queue)
    assert not EndOf(message)(event)
    assert not EndOf(waiting.message)(event)
    assert (attempt_of(event), settles_attempt(event)) == (None, False)
    walk = Walk(10)
    assert walk.take(event)
    assert [entry.first for entry in walk.entries] == [None]


@pytest.mark.parametrize("kind", [kind for kind in OWN if kind.startswith(("run.", "session."))])
def test_what_only_this_service_may_say_is_refused_at_the_door(kind: str) -> None:
    with pytest.raises(ValueError, match="reserved"):
        OutsideEvent(event_type=kind)
