"""The attempt that this execution makes at a step: what it does to the log is told of it."""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from opentelemetry.trace import Span


@dataclass
class Attempt:
    """`waits_since`: no reader has text of the turn yet, since this moment."""

    span: Span
    waits_since: datetime | None = None
    flushes: int = 0


current_attempt: ContextVar[Attempt | None] = ContextVar("current_attempt", default=None)


def awaits_first_text(since: datetime) -> None:
    """Say that the next text this attempt appends is the first of its turn, which began at `since`."""
    if (attempt := current_attempt.get()) is not None:
        attempt.waits_since = since
