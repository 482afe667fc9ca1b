"""Span ids that follow from what they are spans of: who works on a turn knows its parent without being told.

A turn's span is sent when the turn ends, by whoever ends it; its attempts run before that and in other processes.
"""

import hashlib
import re
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.trace import INVALID_SPAN_ID, SpanContext, TraceFlags

_TRACE_ID = re.compile("[0-9a-f]{32}")

given_ids: ContextVar[tuple[int | None, int | None]] = ContextVar("given_ids", default=(None, None))
"""The trace id and span id of the span that is being started; None is drawn at random."""


def posting_span(message_id: str) -> int:
    """The span in which a message was taken: what its turn is a child of."""
    return _derived(f"posting {message_id}")


def turn_span(turn_id: str) -> int:
    return _derived(f"turn {turn_id}")


def context_of(trace_id: str | None, span_id: int) -> SpanContext | None:
    """A span of another process, by its ids; None if `trace_id` is none."""
    if trace_id is None or not _TRACE_ID.fullmatch(trace_id) or not int(trace_id, 16):
        return None
    return SpanContext(int(trace_id, 16), span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


@contextmanager
def given(*, trace_id: int | None = None, span_id: int | None = None) -> Generator[None]:
    """Spans started meanwhile have these ids."""
    token = given_ids.set((trace_id, span_id))
    try:
        yield
    finally:
        given_ids.reset(token)


def _derived(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) or INVALID_SPAN_ID + 1
