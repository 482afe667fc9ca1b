"""Turns of the app on a server of habits: attempts, tools and the log are the app's own, in one process."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.behaviour.factories import LOST_STARTS
from tests.domain.factories import OWNER, TRACE
from tests.domain.media import content_of as content_parts
from tests.model_servers.answers import GO_ON
from tests.model_servers.habit import Habit, Observed
from tests.model_servers.server import ModelServer
from turnlog.agents.declaration import Agent
from turnlog.agents.tools import tool
from turnlog.domain.ids import SessionId, instance_of
from turnlog.domain.stored_documents import Message, ToolResult
from turnlog.domain.turn import Fence
from turnlog.services.turns.attempts import AttemptRequest
from turnlog.services.turns.conversation import content_of
from turnlog.services.turns.endings import EndRequest
from turnlog.services.turns.model_calls import ModelCallResult
from turnlog.services.turns.submit import NewMessage
from turnlog.wiring import Services

MAX_SILENCE_SECONDS = 2
MAX_STEPS = 4
_RESULTS = {"6*7": "42", "9*9": "81"}


async def calculate(expression: str) -> str:
    """Calculate."""
    return _RESULTS.get(expression, "unknown")


async def current_time() -> str:
    """Return the time."""
    return "2026-01-01T00:00:00Z"


async def ask_user(question: str) -> str:
    """Ask the user."""
    return question[:0] + "x" * 500_000


AGENT = Agent(
    name="habits",
    description="Has the tools that the habits call.",
    instructions="Be brief.",
    tools=(tool(calculate), tool(current_time), tool(ask_user)),
)


async def ask(app: Services, server: ModelServer, habit: Habit) -> Observed:
    """Post a message to a new session, and then another one; return how the turns ended."""
    state, _ = await app.sessions.create(OWNER, {}, None, TRACE)
    before = len(server.requests(habit.name))
    message = await Turn(app, state.session_id).run(habit.content, habit.name)
    calls = len(server.requests(habit.name)) - before
    following = await Turn(app, state.session_id).run(GO_ON, habit.next_name)
    results = {result.id: result for result in await app.log.find(ToolResult, state.session_id, limit=1000)}
    called = [results[call.id] for step in message.steps for call in step.tool_calls if call.id in results]
    error = message.error
    return Observed(
        status=message.status,
        answer=message.answer or "",
        code=error.code if error else None,
        message=error.message if error else "",
        calls=calls,
        finish_reason=message.finish_reason,
        usage=message.usage.model_dump(),
        reasoning="".join(step.reasoning for step in message.steps),
        results=tuple(map(content_of, called)),
        next_turn=following.status if following.error is None else f"{following.status}: {following.error.message}",
    )


@dataclass(frozen=True)
class Turn:
    """A turn as the orchestrator runs it."""

    app: Services
    session_id: SessionId

    async def run(self, content: Any, model: str) -> Message:
        sent = content if isinstance(content, str) else content_parts(*content)
        new = NewMessage(sent, TRACE, agent=AGENT.name, model=model)
        message = (await self.app.turns.submit(OWNER, self.session_id, new, LOST_STARTS)).message
        step, result = 0, ModelCallResult("tools")
        while result.outcome == "tools":
            step += 1
            result = await self._call_model(message, step)
            if result.outcome == "tools":
                await asyncio.gather(*(self._run_tool(message, step, call_id) for call_id in result.call_ids))
        if result.outcome != "ended":
            ending = EndRequest("completed" if result.outcome == "done" else "failed", result.failure)
            await self.app.endings.end(self.session_id, _fence(message), ending, LOST_STARTS)
        return await self.app.messages.get(OWNER, message.message_id)

    async def _call_model(self, message: Message, step: int) -> ModelCallResult:
        attempt, calls = 1, 0
        while True:
            request = self._request(message, step, attempt, calls_before=calls, last_step=step == MAX_STEPS)
            result = await self.app.model_calls.run(request)
            if result.outcome != "retry":
                return result
            attempt, calls = attempt + 1, calls + result.calls

    async def _run_tool(self, message: Message, step: int, call_id: str) -> None:
        result = await self.app.tool_calls.run(self._request(message, step, 1, call_id=call_id))
        assert result.outcome == "done"

    def _request(self, message: Message, step: int, attempt: int, **fields: Any) -> AttemptRequest:
        deadline = self.app.clock.now() + timedelta(seconds=8)
        return AttemptRequest(self.session_id, _fence(message), step, attempt, deadline, **fields)


def _fence(message: Message) -> Fence:
    return Fence(message.turn_id, instance_of(message.turn_id, 1))
