"""Span ids that are derived from message and turn ids, so that every process knows a turn's parent span.

The process that ends a turn sends the turn's span. The turn's attempts run before that, in other processes.
"""

import hashlib
import re
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.trace import INVALID_SPAN_ID, SpanContext, TraceFlags

_TRACE_ID = re.compile("[0-9a-f]{32}")

fixed_ids: ContextVar[tuple[int | None, int | None]] = ContextVar("fixed_ids", default=(None, None))
"""The trace id and the span id of the span that is being started. For None the id is random."""


def posting_span_id(message_id: str) -> int:
    """The span in which a message was posted. It is the parent of the turn's span."""
    return _derived(f"posting {message_id}")


def turn_span_id(turn_id: str) -> int:
    return _derived(f"turn {turn_id}")


def span_context(trace_id: str | None, span_id: int) -> SpanContext | None:
    """A span of another process, by its ids. None if `trace_id` is not a valid trace id."""
    if trace_id is None or not _TRACE_ID.fullmatch(trace_id) or not int(trace_id, 16):
        return None
    return SpanContext(int(trace_id, 16), span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


@contextmanager
def fixed_span_ids(*, trace_id: int | None = None, span_id: int | None = None) -> Generator[None]:
    """A span that starts while the body runs gets these ids."""
    token = fixed_ids.set((trace_id, span_id))
    try:
        yield
    finally:
        fixed_ids.reset(token)


def _derived(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) or INVALID_SPAN_ID + 1
