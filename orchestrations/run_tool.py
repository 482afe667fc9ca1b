"""Activity: one attempt of one tool call."""

import asyncio
import logging
import time
from typing import Any

from orchestrations.contracts import Reply, Work
from shared.agents.registry import agent_named
from shared.agents.tools import Tool, ToolError
from shared.domain.actions import completed, failed
from shared.domain.documents import Message, ToolResult
from shared.domain.events import (
    EventData,
    ToolCallStart,
)
from shared.domain.session import SessionState
from shared.domain.turn import Standing, cancelled_call, standing_of_tool, tool_completion
from shared.domain.values import ToolCall, ToolOutcome
from shared.services.attempts import Guard, active_message, begin, of_turn
from shared.services.writer import Decision, SessionWriter
from shared.wiring import Services, services

_TOOL_SECONDS = 120.0

_log = logging.getLogger(__name__)


async def run_tool(work: Any) -> dict[str, Any]:
    """Run the tool and record what it gave.

    Run twice, the second execution follows the first. After a death in mid-run a tool declared `idempotent` runs
    again with the same call id; of another's call nobody can know, and the model is told so. A call that waits for
    something from outside is not begun.
    """
    return (await _ToolRun(services(), Work.model_validate(work)).run()).dump()


class _ToolRun:
    """One execution of an attempt."""

    def __init__(self, on: Services, work: Work) -> None:
        self._on = on
        self._work = work
        self._call_id = work.call_id or ""
        self._writer = SessionWriter(on.log, on.clock, work.session_id)
        self._began_before = False

    async def run(self) -> Reply:
        await self._writer.load()
        if self._work.fence.holds(self._writer.state) is None:
            return Reply(outcome="superseded")
        message = await active_message(self._on.log, self._writer.state, self._work.fence)
        call = next(call for call in message.steps[self._work.step - 1].tool_calls if call.id == self._call_id)
        if self._waits(message, call):
            return Reply(outcome="waits")
        standing = await begin(self._on.log, self._writer, self._standing, self._start(call))
        match standing:
            case Standing.MINE:
                return await self._act(message, call)
            case Standing.DONE:
                return Reply(outcome="done")
            case Standing.CANCELLED:
                return Reply(outcome="cancelled")
            case _:
                return Reply(outcome="superseded")

    def _waits(self, message: Message, call: ToolCall) -> bool:
        """Whether the call stands where only an action from outside lets it go on."""
        if self._standing(self._writer.state) is not Standing.BEGIN or not agent_named(message.agent).action_for(call):
            return False
        turn = self._work.fence.holds(self._writer.state)
        action = None if turn is None else turn.actions.get(call.id)
        return action is None or action.decision != "approve"

    def _standing(self, state: SessionState) -> Standing:
        turn = self._work.fence.holds(state)
        if turn is not None and self._work.step < turn.step:
            return Standing.DONE  # a later step begins only once all calls of this one are answered
        begun = None if turn is None else turn.tools.get(self._call_id)
        self._began_before |= begun is not None and begun.number < self._work.attempt
        return standing_of_tool(state, self._work.fence, self._call_id, self._work.attempt, self._writer.id)

    def _start(self, call: ToolCall) -> EventData:
        step, attempt = self._work.step, self._work.attempt
        return ToolCallStart(id=call.id, step=step, attempt=attempt, name=call.name, arguments=call.arguments)

    async def _act(self, message: Message, call: ToolCall) -> Reply:
        found = agent_named(message.agent).tool(call.name)
        tool = found if isinstance(found, Tool) else None
        began = time.monotonic()
        running = asyncio.create_task(self._outcome(tool, call))
        guard = Guard(self._on.log, self._on.clock, self._writer, self._on.settings.timings.lease_after)
        async with guard.over_work(self._may_go_on, running.cancel):
            # A wait, not an await: cancelling `running` is the turn's doing, cancelling us would be the host's.
            try:
                await asyncio.wait([running])
            finally:
                running.cancel()
        result = cancelled_call(call.id, call.name, call.arguments, message.message_id, self._work.step)
        if not running.cancelled():
            duration = int((time.monotonic() - began) * 1000)
            result = result.model_copy(update={"outcome": running.result(), "duration_ms": duration})
        return await self._record(result.model_copy(update={"order": message.order}))

    def _may_go_on(self, state: SessionState) -> bool:
        return self._standing(state) is Standing.MINE

    async def _outcome(self, tool: Tool | None, call: ToolCall) -> ToolOutcome:
        if tool is None:
            return failed(f"There is no tool {call.name!r}.")
        if self._began_before and not tool.idempotent:
            return failed("tool_outcome_unknown: the call may or may not have been carried out; it was not repeated.")
        time_left = self._work.time_left(self._on.clock.now())
        try:
            async with asyncio.timeout(min(_TOOL_SECONDS, time_left)):
                return completed(await tool.run(call.arguments))
        except ToolError as error:
            return failed(str(error))
        except TimeoutError:
            return failed(f"{call.name} did not finish in time.")
        except Exception:  # noqa: BLE001  # a tool is anybody's code: what it raises is the model's to deal with
            _log.exception("tool %s failed", call.name)
            return failed(f"{call.name} failed with an internal error.")

    async def _record(self, result: ToolResult) -> Reply:
        async def decide(state: SessionState) -> Decision[Reply]:
            turn = self._work.fence.holds(state)
            begun = None if turn is None else turn.tools.get(self._call_id)
            if turn is None or begun is None or begun.writer != self._writer.id or begun.done:
                return Decision(Reply(outcome="superseded"))
            outcome = "cancelled" if turn.cancelling else "done"
            return Decision(Reply(outcome=outcome), of_turn(state, tool_completion(result)), (result,))

        return await self._writer.settle(decide)
