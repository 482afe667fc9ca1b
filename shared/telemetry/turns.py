"""What an append to the log says of its turn: the log is the only channel, so it is counted there, and once."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from shared.agents.registry import AGENTS
from shared.domain.chunks import Chunk, Event
from shared.domain.documents import AnyDocument, Message
from shared.domain.events import MessageDelta, RunComplete, TokenUsage, ToolCallComplete
from shared.telemetry import names
from shared.telemetry.attempts import current_attempt
from shared.telemetry.ids import context_of, posting_span, turn_span
from shared.telemetry.recorder import Telemetry, error, failed

_BILLION = 1_000_000_000


def appended(on: Telemetry, chunk: Chunk, documents: Sequence[AnyDocument]) -> None:
    """Tell of a chunk that is in the log now."""
    if is_flush(chunk):
        on.count(names.FLUSHED, {})
    for event in chunk.events:
        match event.data:
            case MessageDelta():
                _text(on, event)
            case TokenUsage() as used:
                _tokens(on, used)
            case ToolCallComplete() as call:
                on.count(names.TOOL_CALLS, {names.TOOL: tool_label(call.name), names.OUTCOME: call.status})
            case RunComplete() as end:
                _end(on, chunk.session_id, event, end, _agent_of(event, documents))
            case _:
                pass


def is_flush(chunk: Chunk) -> bool:
    """Whether it holds pieces of an answer and nothing else."""
    return all(isinstance(event.data, MessageDelta) for event in chunk.events)


def tool_label(name: str) -> str:
    """A tool's name where there is such a tool: others are a model's invention, and may be anything."""
    return name if name in _tools() else "unknown"


@cache
def _tools() -> frozenset[str]:
    return frozenset(tool.name for agent in AGENTS.values() for tool in agent.tools)


def _agent_of(event: Event, documents: Sequence[AnyDocument]) -> str | None:
    messages = [each for each in documents if isinstance(each, Message)]
    return next((each.agent for each in messages if each.message_id == event.message_id), None)


def _text(on: Telemetry, event: Event) -> None:
    attempt = current_attempt.get()
    if attempt is None:
        return
    attempt.flushes += 1
    if attempt.waits_since is not None:
        seconds = max(0.0, (event.timestamp - attempt.waits_since).total_seconds())
        attempt.waits_since = None
        attempt.span.set_attribute(names.FIRST_EVENT, seconds)
        on.record(names.FIRST_EVENT_SECONDS, seconds, {})


def _tokens(on: Telemetry, used: TokenUsage) -> None:
    whose = {names.OPERATION: "chat", names.MODEL: on.model(used.model), names.AGENT: used.agent}
    on.record(names.TOKENS, used.prompt_tokens, {**whose, names.TOKEN_TYPE: "input"})
    on.record(names.TOKENS, used.completion_tokens, {**whose, names.TOKEN_TYPE: "output"})


def _end(on: Telemetry, session_id: str, event: Event, end: RunComplete, agent: str | None) -> None:
    code = None if end.error is None else end.error.code
    common = {
        names.AGENT: agent,
        names.MODEL: on.model(end.model),
        names.OUTCOME: end.status,
        **({} if code is None else error(code)),
    }
    on.count(names.TURNS, common)
    on.record(names.TURN_SECONDS, end.duration_ms / 1000, {names.OPERATION: "invoke_agent", **common})
    parent = context_of(event.trace_id, posting_span(event.message_id or ""))
    if parent is None or event.turn_id is None:
        return
    ended_ns = int(event.timestamp.timestamp() * _BILLION)
    span = on.start(
        f"invoke_agent {agent or 'unknown'}",
        {names.SESSION: session_id, **_of_turn(event, end, agent)},
        parent=parent,
        span_id=turn_span(event.turn_id),
        start_ns=ended_ns - end.duration_ms * _BILLION // 1000,
    )
    if code is not None:
        failed(span, code)
    span.end(ended_ns)


def _of_turn(event: Event, end: RunComplete, agent: str | None) -> dict[str, Any]:
    return {
        names.OPERATION: "invoke_agent",
        names.AGENT: agent,
        names.MODEL: end.model,
        names.TURN: event.turn_id,
        names.POSTED_MESSAGE: event.message_id,
        names.OUTCOME: end.status,
        names.STEPS: end.steps,
        names.INPUT_TOKENS: end.usage.get("prompt_tokens"),
        names.OUTPUT_TOKENS: end.usage.get("completion_tokens"),
    }
