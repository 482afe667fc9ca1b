"""Activity: one attempt of one tool call."""

import asyncio
import logging
import time
from typing import Any

from orchestrations.contracts import Reply, Work
from orchestrations.tracing import tool_span, traced_activity
from shared.agents.context import ToolContext
from shared.agents.registry import agent_named
from shared.agents.tools import FAILURES_ALLOWED, Tool, ToolError
from shared.domain.actions import completed, failed
from shared.domain.documents import AnyDocument, Message, ToolResult
from shared.domain.errors import StoreUnavailableError
from shared.domain.events import (
    EventData,
    ToolCallStart,
)
from shared.domain.session import SessionState
from shared.domain.turn import Standing, cancelled_call, standing_of_tool, tool_completion
from shared.domain.values import Failure, ToolCall, ToolOutcome
from shared.services.turns.attempts import Guard, claim_attempt, load_active_message, turn_drafts
from shared.services.writer import Decision, SessionWriter
from shared.timings import TOOL_CALL_TIMEOUT
from shared.wiring import Services, services

_TOOL_SECONDS = TOOL_CALL_TIMEOUT.total_seconds()

_log = logging.getLogger(__name__)


@traced_activity
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
        if self._work.fence.turn_in(self._writer.state) is None:
            return Reply(outcome="superseded")
        message = await load_active_message(self._on.log, self._writer.state, self._work.fence)
        call = next(call for call in message.steps[self._work.step - 1].tool_calls if call.id == self._call_id)
        if self._waits(message, call):
            return Reply(outcome="waits")
        standing = await claim_attempt(self._on.log, self._writer, self._standing, self._start(call))
        match standing:
            case Standing.MINE:
                return await self._act(message, call)
            case Standing.DONE:
                return _reply(await self._fatal(message, call))
            case Standing.CANCELLED:
                return Reply(outcome="cancelled")
            case _:
                return Reply(outcome="superseded")

    def _waits(self, message: Message, call: ToolCall) -> bool:
        """Whether the call stands where only an action from outside lets it go on."""
        if self._standing(self._writer.state) is not Standing.BEGIN or not agent_named(message.agent).action_for(call):
            return False
        turn = self._work.fence.turn_in(self._writer.state)
        action = None if turn is None else turn.actions.get(call.id)
        return action is None or action.decision != "approve"

    def _standing(self, state: SessionState) -> Standing:
        turn = self._work.fence.turn_in(state)
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
        running = asyncio.create_task(self._outcome(tool, message, call))
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
        return await self._record(message, call, result.model_copy(update={"sequence": message.sequence}))

    def _may_go_on(self, state: SessionState) -> bool:
        return self._standing(state) is Standing.MINE

    async def _outcome(self, tool: Tool | None, message: Message, call: ToolCall) -> ToolOutcome:
        with tool_span(call) as span:
            outcome = await self._tried(tool, message, call)
            span.ended(outcome)
            return outcome

    async def _tried(self, tool: Tool | None, message: Message, call: ToolCall) -> ToolOutcome:
        if tool is None:
            return failed(f"There is no tool {call.name!r}.")
        if tool.failure_code is not None and self._first(message, self._work.step, call.name) != call.id:
            return failed(f"Of several calls of {call.name} at once only the first is run: put everything into one.")
        if self._began_before and not tool.idempotent:
            return failed("tool_outcome_unknown: the call may or may not have been carried out; it was not repeated.")
        time_left = self._work.time_left(self._on.clock.now())
        try:
            async with asyncio.timeout(min(_TOOL_SECONDS, time_left)):
                return completed(await tool.run(call.arguments, self._context(call, message)))
        except ToolError as error:
            return failed(str(error))
        except TimeoutError:
            return failed(f"{call.name} did not finish in time.")
        except StoreUnavailableError:  # no fault of the call's: the attempt breaks off, another one may do
            raise
        except Exception:  # noqa: BLE001  # a tool is anybody's code: what it raises is the model's to deal with
            _log.exception("tool %s failed", call.name)
            return failed(f"{call.name} failed with an internal error.")

    def _context(self, call: ToolCall, message: Message) -> ToolContext:
        state = self._writer.state
        return ToolContext(
            session_id=state.session_id,
            owner=state.owner,
            message_id=message.message_id,
            call_id=call.id,
            projects=self._on.vibecoding,
            project_id=state.project_id,
            node_id=state.node_id,
        )

    async def _record(self, message: Message, call: ToolCall, result: ToolResult) -> Reply:
        # Also of a call that was broken off: what it did to the project is done.
        change = await self._on.vibecoding.change_by(self._writer.state, message.message_id, call)
        if change is not None:
            result = result.model_copy(update={"outcome": change.outcome})
        reply = _reply(await self._fatal(message, call, result))

        async def decide(state: SessionState) -> Decision[Reply]:
            turn = self._work.fence.turn_in(state)
            begun = None if turn is None else turn.tools.get(self._call_id)
            if turn is None or begun is None or begun.writer != self._writer.id or begun.done:
                return Decision(Reply(outcome="superseded"))
            documents: list[AnyDocument] = [result]
            if change is not None:
                documents.append(change.noted(await load_active_message(self._on.log, state, self._work.fence)))
            given = Reply(outcome="cancelled") if turn.cancelling else reply
            return Decision(given, turn_drafts(state, tool_completion(result)), documents)

        return await self._writer.settle(decide)

    async def _fatal(self, message: Message, call: ToolCall, result: ToolResult | None = None) -> Failure | None:
        """Why the turn ends with this call: its tool has failed more often than it may. The same however often asked.

        Without `result`, of the one that is recorded.
        """
        tool = agent_named(message.agent).tool(call.name)
        if not isinstance(tool, Tool) or tool.failure_code is None or message.patch is not None:
            return None
        first = [self._first(message, step, call.name) for step in range(1, self._work.step + 1)]
        if first.pop() != call.id:
            return None
        known = [result or await self._result(call.id), *[await self._result(each) for each in first if each]]
        failed = [each for each in known if each is not None and each.outcome.status == "failed"]
        if known[0] not in failed or len(failed) <= FAILURES_ALLOWED:
            return None
        return Failure(code=tool.failure_code, message=failed[0].outcome.response["error"])

    async def _result(self, call_id: str) -> ToolResult | None:
        return await self._on.log.get(ToolResult, self._work.session_id, call_id)

    @staticmethod
    def _first(message: Message, step: int, name: str) -> str | None:
        """The first call of a tool in a step."""
        return next((call.id for call in message.steps[step - 1].tool_calls if call.name == name), None)


def _reply(fatal: Failure | None) -> Reply:
    return Reply(outcome="done") if fatal is None else Reply(outcome="failed", failure=fatal)
