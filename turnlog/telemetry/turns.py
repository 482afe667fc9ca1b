"""Spans and metrics of turns, taken from appends to the log: every fact is appended once, so it is counted once."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opentelemetry.trace import Span

from turnlog.agents.registry import AGENTS
from turnlog.domain.chunks import Chunk, Event
from turnlog.domain.events import MessageDelta, MessageStart, RunComplete, TokenUsage, ToolCallComplete
from turnlog.domain.ids import public_id
from turnlog.domain.stored_documents import AnyDocument, Message
from turnlog.telemetry import names
from turnlog.telemetry.recorder import Telemetry, current_telemetry, error_attributes, mark_failed
from turnlog.telemetry.span_ids import posting_span_id, span_context, turn_span_id

_BILLION = 1_000_000_000


@dataclass
class AttemptSpan:
    """The attempt at a step that this execution makes, with its span.

    `began_turn`: when this attempt began its turn, if it did. `waits_since`: the turn's start, as long as no text of
    the turn is in the log.
    """

    span: Span
    began_turn: datetime | None = None
    waits_since: datetime | None = None
    flushes: int = 0


current_attempt: ContextVar[AttemptSpan | None] = ContextVar("current_attempt", default=None)


def expect_first_text(since: datetime) -> None:
    """Note that the next text of the current attempt is the first text of its turn, which started at `since`."""
    if (attempt := current_attempt.get()) is None:
        return
    attempt.waits_since = since
    if attempt.began_turn is not None and (telemetry := current_telemetry()) is not None:
        telemetry.record(names.START_SECONDS, max(0.0, (attempt.began_turn - since).total_seconds()), {})


def record_append(telemetry: Telemetry, chunk: Chunk, documents: Sequence[AnyDocument]) -> None:
    """Record what a chunk that was just appended says of its turn."""
    if is_flush(chunk):
        telemetry.count(names.FLUSHED, {})
    for event in chunk.events:
        match event.data:
            case MessageStart(step=1, attempt=1):
                _note_begin(event)
            case MessageDelta():
                _record_text(telemetry, event)
            case TokenUsage() as used:
                _record_tokens(telemetry, used)
            case ToolCallComplete() as call:
                telemetry.count(names.TOOL_CALLS, {names.TOOL: tool_label(call.name), names.OUTCOME: call.status})
            case RunComplete() as end:
                _record_end(telemetry, public_id(chunk.session_id), event, end, _agent_of(event, documents))
            case _:
                pass


def is_flush(chunk: Chunk) -> bool:
    """Whether `chunk` holds only pieces of an answer."""
    return chunk.has_only_deltas


def tool_label(name: str) -> str:
    """The name of a known tool, or `unknown`: a model may invent any name."""
    known = {tool.name for agent in list(AGENTS.values()) for tool in agent.known_tools}
    return name if name in known else "unknown"


def _agent_of(event: Event, documents: Sequence[AnyDocument]) -> str | None:
    messages = [each for each in documents if isinstance(each, Message)]
    return next((each.agent for each in messages if each.message_id == event.message_id), None)


def _note_begin(event: Event) -> None:
    if (attempt := current_attempt.get()) is not None:
        attempt.began_turn = event.timestamp


def _record_text(telemetry: Telemetry, event: Event) -> None:
    attempt = current_attempt.get()
    if attempt is None:
        return
    attempt.flushes += 1
    if attempt.waits_since is not None:
        seconds = max(0.0, (event.timestamp - attempt.waits_since).total_seconds())
        attempt.waits_since = None
        attempt.span.set_attribute(names.FIRST_EVENT, seconds)
        telemetry.record(names.FIRST_EVENT_SECONDS, seconds, {})


def _record_tokens(telemetry: Telemetry, used: TokenUsage) -> None:
    labels = {names.OPERATION: "chat", names.MODEL: telemetry.model_label(used.model), names.AGENT: used.agent}
    telemetry.record(names.TOKENS, used.prompt_tokens, {**labels, names.TOKEN_TYPE: "input"})
    telemetry.record(names.TOKENS, used.completion_tokens, {**labels, names.TOKEN_TYPE: "output"})


def _record_end(telemetry: Telemetry, session_id: str, event: Event, end: RunComplete, agent: str | None) -> None:
    code = None if end.error is None else end.error.code
    common = {
        names.AGENT: agent,
        names.MODEL: telemetry.model_label(end.model),
        names.OUTCOME: end.status,
        **({} if code is None else error_attributes(code)),
    }
    telemetry.count(names.TURNS, common)
    telemetry.record(names.TURN_SECONDS, end.duration_ms / 1000, {names.OPERATION: "invoke_agent", **common})
    parent = span_context(event.trace_id, posting_span_id(event.message_id or ""))
    if parent is None or event.turn_id is None:
        return
    ended_ns = int(event.timestamp.timestamp() * _BILLION)
    span = telemetry.start(
        f"invoke_agent {agent or 'unknown'}",
        {names.SESSION: session_id, **_turn_attributes(event, end, agent)},
        parent=parent,
        span_id=turn_span_id(event.turn_id),
        start_ns=ended_ns - end.duration_ms * _BILLION // 1000,
    )
    if code is not None:
        mark_failed(span, code)
    span.end(ended_ns)


def _turn_attributes(event: Event, end: RunComplete, agent: str | None) -> dict[str, Any]:
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
