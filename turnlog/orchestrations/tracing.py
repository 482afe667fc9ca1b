"""Spans of activities and tools: each attempt is one span in the trace of its turn."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from opentelemetry.trace import Span
from pydantic_core import to_json

from turnlog.domain.ids import public_id
from turnlog.domain.values import ToolCall, ToolOutcome
from turnlog.orchestrations.contracts import Work
from turnlog.services.turns.tool_calls import RunTool
from turnlog.telemetry import names
from turnlog.telemetry.recorder import Telemetry, current_telemetry, mark_failed
from turnlog.telemetry.span_ids import span_context, turn_span_id
from turnlog.telemetry.turns import AttemptSpan, current_attempt, tool_label

ActivityFunction = TypeVar("ActivityFunction", bound=Callable[..., Awaitable[dict[str, Any]]])


def traced_activity(activity: ActivityFunction) -> ActivityFunction:
    """Trace each execution of `activity`: which attempt it is, and its outcome.

    The orchestrator itself is not traced, because it is replayed.
    """

    @wraps(activity)
    async def run(work: Any, *clients: Any, **bindings: Any) -> dict[str, Any]:
        if (telemetry := current_telemetry()) is None:
            return await activity(work, *clients, **bindings)
        with _attempt(telemetry, activity.__name__, Work.model_validate(work)) as span:
            reply = await activity(work, *clients, **bindings)
            span.set_attribute(names.OUTCOME, reply["outcome"])
            if "failure" in reply:
                mark_failed(span, reply["failure"]["code"])
            return reply

    return run  # pyright: ignore[reportReturnType]  # same signature, as @wraps says


@contextmanager
def _attempt(telemetry: Telemetry, name: str, work: Work) -> Generator[Span]:
    attributes = {
        names.SESSION: public_id(work.session_id),
        names.TURN: work.turn_id,
        names.INSTANCE: work.instance_id,
        names.STEP: work.step or None,
        names.ATTEMPT: work.attempt,
        names.AFTER: work.after,
        names.TOOL_CALL: work.call_id,
    }
    with telemetry.span(name, attributes, parent=span_context(work.trace_id, turn_span_id(work.turn_id))) as span:
        attempt = AttemptSpan(span)
        token = current_attempt.set(attempt)
        try:
            yield span
        finally:
            current_attempt.reset(token)
            if attempt.flushes:
                span.set_attribute(names.FLUSHES, attempt.flushes)


async def traced_tool(call: ToolCall, run: RunTool) -> ToolOutcome:
    """Run a tool within a span that records its outcome."""
    if (telemetry := current_telemetry()) is None:
        return await run()
    label = tool_label(call.name)
    attributes = {names.OPERATION: "execute_tool", names.TOOL: label, names.TOOL_CALL: call.id}
    if telemetry.content:
        attributes[names.TOOL_ARGUMENTS] = call.arguments
    with (
        telemetry.timed(names.TOOL_SECONDS, {names.TOOL: label}),
        telemetry.span(f"execute_tool {label}", attributes) as span,
    ):
        outcome = await run()
        span.set_attribute(names.OUTCOME, outcome.status)
        if outcome.status == "failed":
            mark_failed(span, "tool_failed")
        if telemetry.content:
            span.set_attribute(names.TOOL_RESULT, to_json(outcome.response).decode())
        return outcome
