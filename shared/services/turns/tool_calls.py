"""Attempts at tool calls: a tool runs at most as often as it allows, and each call is answered once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from shared.agents.context import ToolContext
from shared.agents.registry import require_agent
from shared.agents.tools import MAX_TOOL_FAILURES, Tool, ToolError
from shared.domain.actions import completed_outcome, failed_outcome
from shared.domain.errors import StoreUnavailableError
from shared.domain.events import ToolCallStart
from shared.domain.ids import public_id
from shared.domain.session import SessionState
from shared.domain.stored_documents import AnyDocument, Message, Step, ToolResult
from shared.domain.turn import Permission, permission_for_tool
from shared.domain.turn_events import CANCELLED_CALL, arguments_fields, tool_completion, tool_result, turn_drafts
from shared.domain.values import MAX_INLINE_TEXT_BYTES, Failure, ToolCall, ToolOutcome
from shared.ports import Clock, SessionLog
from shared.services.projects.patches import ProjectPatches
from shared.services.steps import load_step
from shared.services.turns.attempts import POISONED, AttemptRequest, Guard, claim_attempt, load_active_message
from shared.services.writer import Decision
from shared.timings import TOOL_CALL_TIMEOUT

_TOOL_SECONDS = TOOL_CALL_TIMEOUT.total_seconds()

ToolCallOutcome: TypeAlias = Literal["done", "cancelled", "failed", "waits", "superseded"]
"""`done`: the answer is recorded. `cancelled`: the turn is asked to stop. `failed`: the answer is recorded, and the
turn is to fail. `waits`: the call cannot run before an action comes from outside. `superseded`: the turn or the call
does not belong to this attempt any more."""

RunTool: TypeAlias = Callable[[], Awaitable[ToolOutcome]]
TraceTool: TypeAlias = Callable[[ToolCall, RunTool], Coroutine[Any, Any, ToolOutcome]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ToolCallResult:
    """What came of an attempt."""

    outcome: ToolCallOutcome
    failure: Failure | None = None


async def _untraced(_: ToolCall, run: RunTool) -> ToolOutcome:
    return await run()


@dataclass(frozen=True)
class ToolCalls:
    log: SessionLog
    clock: Clock
    vibecoding: ProjectPatches
    renew_lease_after: timedelta

    async def run(self, request: AttemptRequest, trace: TraceTool = _untraced) -> ToolCallResult:
        """Run the tool and record its outcome. `trace` runs the tool within a span.

        If it runs twice, the second execution follows the first. If the process dies while the tool runs, a tool that
        is declared `idempotent` runs again with the same call id. For other tools the outcome is unknown, and the
        answer to the model says so. A call that waits for an action from outside does not begin.
        """
        return await _Execution(self, request, trace).run()


class _Execution:
    """One execution of an attempt."""

    def __init__(self, calls: ToolCalls, request: AttemptRequest, trace: TraceTool) -> None:
        self._calls = calls
        self._request = request
        self._trace = trace
        self._call_id = request.call_id or ""
        self._writer = request.new_writer(calls.log, calls.clock)
        self._began_before = False
        self._step = Step(text="")

    async def run(self) -> ToolCallResult:
        await self._writer.load()
        if self._request.fence.turn_in(self._writer.state) is None:
            return ToolCallResult("superseded")
        message, self._step = await self._writer.hold(self._load_step)
        call = next(call for call in self._step.tool_calls if call.id == self._call_id)
        if self._waits(message, call):
            return ToolCallResult("waits")
        match await claim_attempt(self._calls.log, self._writer, self._permission, self._start(message, call)):
            case Permission.ACT:
                return await self._act(message, call)
            case Permission.DONE:
                return _result(await self._writer.hold(lambda: self._fatal(message, call)))
            case Permission.CANCELLED:
                return ToolCallResult("cancelled")
            case Permission.POISONED:
                return ToolCallResult("failed", POISONED)
            case _:
                return ToolCallResult("superseded")

    async def _load_step(self) -> tuple[Message, Step]:
        message = await load_active_message(self._calls.log, self._writer.state, self._request.fence)
        return message, await load_step(self._calls.log, message, self._request.step)

    def _waits(self, message: Message, call: ToolCall) -> bool:
        """Whether only an action from outside lets the call begin."""
        if self._permission(self._writer.state) is not Permission.BEGIN or not require_agent(
            message.agent
        ).required_action(call):
            return False
        turn = self._request.fence.turn_in(self._writer.state)
        action = None if turn is None else turn.actions.get(call.id)
        return action is None or action.decision != "approve"

    def _permission(self, state: SessionState) -> Permission:
        turn = self._request.fence.turn_in(state)
        if turn is not None and self._request.step < turn.step:
            return Permission.DONE  # a later step begins only when all calls of this step are answered
        begun = None if turn is None else turn.tools.get(self._call_id)
        self._began_before |= begun is not None and begun.number < self._request.attempt
        return permission_for_tool(state, self._request.fence, self._call_id, self._request.attempt, self._writer.id)

    def _may_continue(self, state: SessionState) -> bool:
        return self._permission(state) is Permission.ACT

    def _start(self, message: Message, call: ToolCall) -> ToolCallStart:
        step, attempt = self._request.step, self._request.attempt
        message_id = message.message_id
        arguments = arguments_fields(call, message_id, step, MAX_INLINE_TEXT_BYTES)
        return ToolCallStart(id=call.id, step=step, attempt=attempt, name=call.name, **arguments)

    async def _act(self, message: Message, call: ToolCall) -> ToolCallResult:
        began = time.monotonic()
        running = asyncio.create_task(self._trace(call, lambda: self._run_tool(message, call)))
        guard = Guard(self._calls.log, self._calls.clock, self._writer, self._calls.renew_lease_after)
        async with guard.watch(self._may_continue, running.cancel):
            # `wait`, not `await`: if the turn stops, `running` is cancelled. If the host stops, this task is cancelled.
            try:
                await asyncio.wait([running])
            finally:
                running.cancel()
        outcome = CANCELLED_CALL if running.cancelled() else running.result()
        result = tool_result(call, message, self._request.step, outcome)
        if not running.cancelled():
            result = result.model_copy(update={"duration_ms": int((time.monotonic() - began) * 1000)})
        return await self._writer.hold(lambda: self._record(message, call, result))

    async def _run_tool(self, message: Message, call: ToolCall) -> ToolOutcome:
        if call.refused is not None:
            return failed_outcome(call.refused)
        found = require_agent(message.agent).find_tool(call.name)
        if not isinstance(found, Tool):
            return failed_outcome(f"There is no tool {call.name!r}.")
        if found.failure_code is not None and _first_call(self._step, call.name) != call.id:
            return failed_outcome(
                f"Of several calls of {call.name} at once only the first is run: put everything into one."
            )
        if self._began_before and not found.idempotent:
            return failed_outcome(
                "tool_outcome_unknown: the call may or may not have been carried out; it was not repeated."
            )
        seconds_left = self._request.seconds_left(self._calls.clock.now())
        try:
            async with asyncio.timeout(min(_TOOL_SECONDS, seconds_left)):
                return completed_outcome(await found.run(call.arguments, self._context(message, call)))
        except ToolError as error:
            return failed_outcome(str(error))
        except TimeoutError:
            return failed_outcome(f"{call.name} did not finish in time.")
        except StoreUnavailableError:  # not the tool's failure: this attempt fails, another one may succeed
            raise
        except Exception:  # noqa: BLE001  # any code may be a tool; the model deals with what it raises
            _log.exception("tool %s failed", call.name)
            return failed_outcome(f"{call.name} failed with an internal error.")

    def _context(self, message: Message, call: ToolCall) -> ToolContext:
        state = self._writer.state
        return ToolContext(
            session_id=public_id(state.session_id),
            owner=state.owner,
            message_id=message.message_id,
            call_id=call.id,
            attempt=self._request.attempt,
            projects=self._calls.vibecoding,
            project_id=state.project_id,
            node_id=state.node_id,
        )

    async def _record(self, message: Message, call: ToolCall, result: ToolResult) -> ToolCallResult:
        # Also for a call that was stopped: a change that it made to the project is made.
        state = self._writer.state
        attempt = None if result.outcome.status == "cancelled" else self._request.attempt
        change = await self._calls.vibecoding.settle(state, message.message_id, call, attempt)
        if change is not None:
            result = result.model_copy(update={"outcome": change.outcome})
        recorded = _result(await self._fatal(message, call, result))

        async def decide(state: SessionState) -> Decision[ToolCallResult]:
            turn = self._request.fence.turn_in(state)
            begun = None if turn is None else turn.tools.get(self._call_id)
            if turn is None or begun is None or begun.writer != self._writer.id or begun.done:
                return Decision(ToolCallResult("superseded"))
            documents: list[AnyDocument] = [result]
            if change is not None:
                documents.append(
                    change.added_to(await load_active_message(self._calls.log, state, self._request.fence))
                )
            outcome = ToolCallResult("cancelled") if turn.cancelling else recorded
            return Decision(outcome, turn_drafts(turn, tool_completion(result)), documents)

        return await self._writer.transact(decide)

    async def _fatal(self, message: Message, call: ToolCall, result: ToolResult | None = None) -> Failure | None:
        """Why the turn fails with this call: its tool has failed too often. The same at every execution.

        `result` is the call's result; without it, the recorded one is read.
        """
        tool = require_agent(message.agent).find_tool(call.name)
        if not isinstance(tool, Tool) or tool.failure_code is None or message.patch is not None:
            return None
        if _first_call(self._step, call.name) != call.id:
            return None
        steps = [await load_step(self._calls.log, message, step) for step in range(1, self._request.step)]
        earlier = [_first_call(step, call.name) for step in steps]
        result = result or await self._load_result(call.id)
        results = [result, *[await self._load_result(each) for each in earlier if each]]
        failures = [each for each in results if each is not None and each.outcome.status == "failed"]
        if result not in failures or len(failures) <= MAX_TOOL_FAILURES:
            return None
        return Failure(code=tool.failure_code, message=failures[0].outcome.response["error"])

    async def _load_result(self, call_id: str) -> ToolResult | None:
        return await self._calls.log.get(ToolResult, self._request.session_id, call_id)


def _first_call(step: Step, name: str) -> str | None:
    """The first call of a tool in a step."""
    return next((call.id for call in step.tool_calls if call.name == name), None)


def _result(fatal: Failure | None) -> ToolCallResult:
    return ToolCallResult("done") if fatal is None else ToolCallResult("failed", fatal)
