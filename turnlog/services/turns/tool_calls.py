"""Attempts at tool calls: a tool runs at most as often as it allows, and each call is answered once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from turnlog.agents.context import ToolContext
from turnlog.agents.registry import require_agent
from turnlog.agents.tools import Tool, ToolError
from turnlog.domain.actions import completed_outcome, failed_outcome
from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.events import ToolCallStart
from turnlog.domain.ids import public_id
from turnlog.domain.session import ActiveTurn, SessionState
from turnlog.domain.stored_documents import AnyDocument, ToolResult
from turnlog.domain.turn import Permission, permission_for_tool
from turnlog.domain.turn_events import CANCELLED_CALL, arguments_fields, tool_completion, tool_result, turn_drafts
from turnlog.domain.values import MAX_INLINE_TEXT_BYTES, Failure, ToolCall, ToolOutcome
from turnlog.ports import Clock, SessionLog
from turnlog.services.log.steps import load_step_document
from turnlog.services.log.writer import Decision
from turnlog.services.projects.patches import ProjectPatches
from turnlog.services.turns.attempts import POISONED, AttemptRequest, Guard, claim_attempt, load_active_message
from turnlog.services.turns.tool_failures import RequestedCall, find_fatal_failure
from turnlog.timings import TOOL_CALL_TIMEOUT

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

    async def run(self) -> ToolCallResult:
        await self._writer.load()
        turn = self._request.fence.turn_in(self._writer.state)
        if turn is None:
            return ToolCallResult("superseded")
        called = await self._writer.hold(lambda: self._load_call(turn))
        if self._waits(called):
            return ToolCallResult("waits")
        match await claim_attempt(self._calls.log, self._writer, self._permission, self._start(called)):
            case Permission.ACT:
                return await self._act(called)
            case Permission.DONE:
                return _result(await self._writer.hold(lambda: find_fatal_failure(self._calls.log, called)))
            case Permission.CANCELLED:
                return ToolCallResult("cancelled")
            case Permission.POISONED:
                return ToolCallResult("failed", POISONED)
            case _:
                return ToolCallResult("superseded")

    async def _load_call(self, turn: ActiveTurn) -> RequestedCall:
        request = self._request
        step = await load_step_document(self._calls.log, request.session_id, turn.message_id, request.step)
        call = next(call for call in step.step.tool_calls if call.id == self._call_id)
        return RequestedCall(request.session_id, require_agent(turn.agent), step, call)

    def _waits(self, called: RequestedCall) -> bool:
        """Whether only an action from outside lets the call begin."""
        may_begin = self._permission(self._writer.state) is Permission.BEGIN
        if not may_begin or not called.agent.required_action(called.call):
            return False
        turn = self._request.fence.turn_in(self._writer.state)
        action = None if turn is None else turn.actions.get(self._call_id)
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

    def _start(self, called: RequestedCall) -> ToolCallStart:
        call, step = called.call, self._request.step
        arguments = arguments_fields(call, called.step.message_id, step, MAX_INLINE_TEXT_BYTES)
        return ToolCallStart(id=call.id, step=step, attempt=self._request.attempt, name=call.name, **arguments)

    async def _act(self, called: RequestedCall) -> ToolCallResult:
        began = time.monotonic()
        running = asyncio.create_task(self._trace(called.call, lambda: self._run_tool(called)))
        guard = Guard(self._calls.log, self._calls.clock, self._writer, self._calls.renew_lease_after)
        async with guard.watch(self._may_continue, running.cancel):
            # `wait`, not `await`: if the turn stops, `running` is cancelled. If the host stops, this task is cancelled.
            try:
                await asyncio.wait([running])
            finally:
                running.cancel()
        outcome = CANCELLED_CALL if running.cancelled() else running.result()
        result = tool_result(called.call, called.step, outcome)
        if not running.cancelled():
            result = result.model_copy(update={"duration_ms": int((time.monotonic() - began) * 1000)})
        return await self._writer.hold(lambda: self._record(called, result))

    async def _run_tool(self, called: RequestedCall) -> ToolOutcome:
        call = called.call
        if call.refused is not None:
            return failed_outcome(call.refused)
        found = called.agent.find_tool(call.name)
        if not isinstance(found, Tool):
            return failed_outcome(f"There is no tool {call.name!r}.")
        if found.failure_code is not None and not called.is_first_of_its_tool:
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
                return completed_outcome(await found.run(call.arguments, self._context(called)))
        except ToolError as error:
            return failed_outcome(str(error))
        except TimeoutError:
            return failed_outcome(f"{call.name} did not finish in time.")
        except StoreUnavailableError:  # not the tool's failure: this attempt fails, another one may succeed
            raise
        except Exception:  # noqa: BLE001  # any code may be a tool; the model deals with what it raises
            _log.exception("tool %s failed", call.name)
            return failed_outcome(f"{call.name} failed with an internal error.")

    def _context(self, called: RequestedCall) -> ToolContext:
        state = self._writer.state
        return ToolContext(
            session_id=public_id(state.session_id),
            owner=state.owner,
            message_id=called.step.message_id,
            call_id=self._call_id,
            attempt=self._request.attempt,
            projects=self._calls.vibecoding,
            project_id=state.project_id,
            node_id=state.node_id,
        )

    async def _record(self, called: RequestedCall, result: ToolResult) -> ToolCallResult:
        # Also for a call that was stopped: a change that it made to the project is made.
        state = self._writer.state
        attempt = None if result.outcome.status == "cancelled" else self._request.attempt
        change = await self._calls.vibecoding.settle(state, called.step.message_id, called.call, attempt)
        if change is not None:
            result = result.model_copy(update={"outcome": change.outcome})
        recorded = _result(await find_fatal_failure(self._calls.log, called, result))

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


def _result(fatal: Failure | None) -> ToolCallResult:
    return ToolCallResult("done") if fatal is None else ToolCallResult("failed", fatal)
