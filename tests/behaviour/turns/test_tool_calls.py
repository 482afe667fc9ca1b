"""An attempt at a tool call: the tool runs at most as often as it allows, and the call is answered once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import (
    activity_input,
    append_events,
    cancel_turn,
    create_session,
    load_events,
    outcome_of,
    post_message,
)
from turnlog.agents.declaration import Agent
from turnlog.agents.registry import AGENTS
from turnlog.agents.tools import ToolError, calculate, tool
from turnlog.domain.events import (
    MessageComplete,
    MessageStart,
    RunHandover,
    ToolCallComplete,
    ToolCallStart,
)
from turnlog.domain.stored_documents import Message, Step, ToolResult
from turnlog.domain.values import MAX_ANSWER_BYTES, MAX_INLINE_RESPONSE_BYTES, ToolCall
from turnlog.orchestrations.activities import run_tool
from turnlog.services.turns.answers import step_documents
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

CALL = "call_a"


class Bell:
    """A tool that counts its calls, and then calls `then`."""

    def __init__(self, then: Callable[[], Awaitable[Any]]) -> None:
        self.rings = 0
        self.rung = asyncio.Event()
        self._then = then

    async def ring(self) -> Any:
        self.rings += 1
        self.rung.set()
        return await self._then()


Asked = Callable[..., Awaitable[tuple[Message, Bell]]]


@pytest.fixture
def asked(app: Services, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Starts a turn whose first step requests one tool call."""

    async def asked(
        then: Callable[[], Awaitable[Any]], name: str = "ring", arguments: str = "{}", *, idempotent: bool = False
    ) -> tuple[Message, Bell]:
        bell = Bell(then)

        async def ring() -> Any:
            """Ring the bell."""
            return await bell.ring()

        tools = (tool(ring, idempotent=idempotent), tool(calculate, idempotent=True))
        monkeypatch.setitem(AGENTS, "ringer", Agent("ringer", "Rings.", "Ring.", tools))
        message = await post_message(app, await create_session(app), agent="ringer")
        step = Step(text="", tool_calls=(ToolCall(id=CALL, name=name, arguments=arguments),))
        answer = MessageComplete(step=1, attempt=1, text="")
        documents = step_documents(message, 1, step)
        await append_events(app, message.session_id, MessageStart(step=1, attempt=1), answer, documents=documents)
        return message, bell

    return asked


async def dong() -> str:
    return "dong"


async def hang() -> None:
    await asyncio.Event().wait()


async def completion(app: Services, message: Message) -> ToolCallComplete:
    (event,) = await load_events(app, message.session_id, "tool_call.complete")
    assert isinstance(event.data, ToolCallComplete)
    return event.data


async def run(message: Message, **details: Any) -> str:
    return outcome_of(await run_tool(activity_input(message, call_id=CALL, **details)))


async def test_a_tool_runs_and_its_answer_is_recorded(app: Services, asked: Asked) -> None:
    message, bell = await asked(dong)

    assert await run(message) == "done"
    assert bell.rings == 1
    (start,) = await load_events(app, message.session_id, "tool_call.start")
    assert start.data == ToolCallStart(id=CALL, step=1, attempt=1, name="ring", arguments="{}")
    complete = await completion(app, message)
    assert (complete.status, complete.response, complete.overflow) == ("completed", "dong", None)
    result = await app.log.get(ToolResult, message.session_id, CALL)
    assert result is not None
    assert (result.outcome.response, result.sequence) == ("dong", message.sequence)


async def test_a_call_that_runs_twice_is_answered_once(asked: Asked) -> None:
    message, bell = await asked(dong)

    assert [await run(message), await run(message), await run(message, attempt=2)] == ["done"] * 3
    assert bell.rings == 1


async def test_several_executions_of_a_call_run_the_tool_once(asked: Asked) -> None:
    message, bell = await asked(dong)

    assert await asyncio.gather(*(run(message) for _ in range(5))) == ["done"] * 5
    assert bell.rings == 1


@pytest.mark.parametrize("idempotent", [True, False])
async def test_only_an_idempotent_tool_runs_again_after_its_process_died(
    app: Services, asked: Asked, idempotent: bool
) -> None:
    message, bell = await asked(dong, idempotent=idempotent)
    start = ToolCallStart(id=CALL, step=1, attempt=1, name="ring", arguments="{}")
    await append_events(app, message.session_id, start)

    assert await run(message, attempt=2) == "done"
    complete = await completion(app, message)
    if idempotent:
        assert (bell.rings, complete.response) == (1, "dong")
    else:
        assert (bell.rings, complete.status) == (0, "failed")
        assert "tool_outcome_unknown" in str(complete.response)


async def test_the_model_reads_why_a_tool_refused(app: Services, asked: Asked) -> None:
    async def refuse() -> None:
        raise ToolError("The rope is torn.")

    message, _ = await asked(refuse)

    assert await run(message) == "done"
    complete = await completion(app, message)
    assert (complete.status, complete.response) == ("failed", {"error": "The rope is torn."})


async def test_the_model_does_not_read_what_a_tool_raised(app: Services, asked: Asked) -> None:
    async def crash() -> None:
        raise LookupError("secret")

    message, _ = await asked(crash)

    assert await run(message) == "done"
    assert (await completion(app, message)).response == {"error": "ring failed with an internal error."}


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("strike", "{}", "There is no tool 'strike'."),
        ("ring", '{"loud": true}', "Extra inputs"),
        ("ring", "{", "Invalid JSON"),
        ("calculate", '{"expression": "10**10**10"}', "Can't calculate"),
    ],
)
async def test_the_model_reads_what_is_wrong_with_a_call(
    app: Services, asked: Asked, name: str, arguments: str, problem: str
) -> None:
    message, bell = await asked(dong, name, arguments)

    assert await run(message) == "done"
    complete = await completion(app, message)
    assert (complete.status, complete.name, complete.arguments, bell.rings) == ("failed", name, arguments, 0)
    assert problem in str(complete.response)


@pytest.mark.parametrize(
    ("value", "response"), [({"é": [1, None]}, {"é": [1, None]}), (7, 7), (None, None), (timedelta(0), "0:00:00")]
)
async def test_a_tools_return_value_is_recorded_as_json(app: Services, asked: Asked, value: Any, response: Any) -> None:
    async def give() -> Any:
        return value

    message, _ = await asked(give)

    assert await run(message) == "done"
    assert (await completion(app, message)).response == response


@pytest.mark.parametrize("value", [float("nan"), {"x": [float("inf")]}, "\ud800"])
async def test_a_return_value_that_is_not_json_is_a_failure_of_the_tool(
    app: Services, asked: Asked, value: Any
) -> None:
    async def give() -> Any:
        return value

    message, _ = await asked(give)

    assert await run(message) == "done"
    assert (await completion(app, message)).status == "failed"


async def test_a_large_response_stays_in_its_document_and_is_cut(app: Services, asked: Asked) -> None:
    async def shout() -> str:
        return "x" * (MAX_ANSWER_BYTES + 1)

    message, _ = await asked(shout)

    assert await run(message) == "done"
    complete = await completion(app, message)
    assert (complete.response, complete.overflow, complete.truncated) == (None, CALL, True)
    result = await app.log.get(ToolResult, message.session_id, CALL)
    assert result is not None
    assert MAX_INLINE_RESPONSE_BYTES < len(result.outcome.response) == MAX_ANSWER_BYTES


async def test_a_cancel_stops_a_running_tool_and_answers_its_call(app: Services, asked: Asked) -> None:
    message, bell = await asked(hang)
    running = asyncio.create_task(run(message))
    await bell.rung.wait()
    await cancel_turn(app, message)

    assert await running == "cancelled"
    assert (await completion(app, message)).status == "cancelled"


async def test_a_tool_of_a_turn_that_is_asked_to_stop_does_not_begin(app: Services, asked: Asked) -> None:
    message, bell = await asked(dong)
    await cancel_turn(app, message)

    assert await run(message) == "cancelled"
    assert bell.rings == 0


async def test_a_tool_ends_with_its_turns_deadline(app: Services, asked: Asked, clock: Clock) -> None:
    message, _ = await asked(hang)

    assert await run(message, deadline=clock.now() + timedelta(seconds=0.05)) == "done"
    assert (await completion(app, message)).response == {"error": "ring did not finish in time."}


async def test_a_tool_whose_next_attempt_has_begun_records_nothing(app: Services, asked: Asked) -> None:
    message, bell = await asked(hang)
    running = asyncio.create_task(run(message))
    await bell.rung.wait()
    await append_events(app, message.session_id, ToolCallStart(id=CALL, step=1, attempt=2, name="ring", arguments="{}"))

    assert await running == "superseded"
    assert await load_events(app, message.session_id, "tool_call.complete") == []


async def test_a_tool_of_an_instance_that_lost_its_turn_does_not_begin(app: Services, asked: Asked) -> None:
    message, bell = await asked(dong)
    await append_events(app, message.session_id, RunHandover(instance_id=f"{message.turn_id}~2"))

    assert await run(message) == "superseded"
    assert bell.rings == 0


async def test_a_host_that_stops_ends_the_tool_and_leaves_the_call_open(app: Services, asked: Asked) -> None:
    over = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    message, bell = await asked(hang)
    running = asyncio.create_task(run(message))
    await bell.rung.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    await over.wait()
    assert await load_events(app, message.session_id, "tool_call.complete") == []
