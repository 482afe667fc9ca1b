"""Activities as telemetry tells them: each attempt is a span of its own, in the trace of its turn."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from opentelemetry.trace import Span
from pydantic_core import to_json

from orchestrations.contracts import Work
from shared.domain.values import ToolCall, ToolOutcome
from shared.telemetry import names
from shared.telemetry.ids import context_of, turn_span
from shared.telemetry.recorder import Telemetry, current_telemetry, failed
from shared.telemetry.turns import Attempt, current_attempt, tool_label

Activity = TypeVar("Activity", bound=Callable[..., Awaitable[dict[str, Any]]])


def traced_activity(activity: Activity) -> Activity:
    """Tell of each execution of `activity`: which attempt at what it is, and what came of it.

    The orchestrator itself tells nothing: it is replayed.
    """

    @wraps(activity)
    async def run(work: Any, *clients: Any, **bindings: Any) -> dict[str, Any]:
        if (on := current_telemetry()) is None:
            return await activity(work, *clients, **bindings)
        with _attempt(on, activity.__name__, Work.model_validate(work)) as span:
            reply = await activity(work, *clients, **bindings)
            span.set_attribute(names.OUTCOME, reply["outcome"])
            if "failure" in reply:
                failed(span, reply["failure"]["code"])
            return reply

    return run  # pyright: ignore[reportReturnType]  # same signature, as @wraps says


@contextmanager
def _attempt(on: Telemetry, name: str, work: Work) -> Generator[Span]:
    attributes = {
        names.SESSION: work.session_id,
        names.TURN: work.turn_id,
        names.INSTANCE: work.instance_id,
        names.STEP: work.step or None,
        names.ATTEMPT: work.attempt,
        names.AFTER: work.after,
        names.TOOL_CALL: work.call_id,
    }
    with on.span(name, attributes, parent=context_of(work.trace_id, turn_span(work.turn_id))) as span:
        attempt = Attempt(span)
        token = current_attempt.set(attempt)
        try:
            yield span
        finally:
            current_attempt.reset(token)
            if attempt.flushes:
                span.set_attribute(names.FLUSHES, attempt.flushes)


class ToolSpan:
    """What is told of a tool's run; where nothing is told, this."""

    def ended(self, outcome: ToolOutcome) -> None:
        """It gave an outcome."""


_UNTOLD = ToolSpan()


class _ToldTool(ToolSpan):
    def __init__(self, on: Telemetry, span: Span) -> None:
        self._on = on
        self._span = span

    def ended(self, outcome: ToolOutcome) -> None:
        self._span.set_attribute(names.OUTCOME, outcome.status)
        if outcome.status == "failed":
            failed(self._span, "tool_failed")
        if self._on.content:
            self._span.set_attribute(names.TOOL_RESULT, to_json(outcome.response).decode())


@contextmanager
def tool_span(call: ToolCall) -> Generator[ToolSpan]:
    """The run of a tool, current while the body runs."""
    if (on := current_telemetry()) is None:
        yield _UNTOLD
        return
    label = tool_label(call.name)
    attributes = {names.OPERATION: "execute_tool", names.TOOL: label, names.TOOL_CALL: call.id}
    if on.content:
        attributes[names.TOOL_ARGUMENTS] = call.arguments
    with on.timed(names.TOOL_SECONDS, {names.TOOL: label}), on.span(f"execute_tool {label}", attributes) as span:
        yield _ToldTool(on, span)
