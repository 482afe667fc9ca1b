"""Pages of a session's log: filtered by type, with joined deltas and without void attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from turnlog.domain.chunks import Event
from turnlog.domain.events import (
    Delta,
    MessageComplete,
    MessageDelta,
    MessageStart,
    ReasoningDelta,
    RunComplete,
    RunStart,
    SessionDeleted,
    ToolCallDelta,
)
from turnlog.domain.ids import TurnId


class StepAttempt(NamedTuple):
    """One attempt at a step's text. Attempts do not overlap: one begins after the end of the one before it."""

    turn_id: TurnId | None
    step: int
    number: int


@dataclass(frozen=True)
class Entry:
    """An event of a page. A joined delta replaces the deltas from `first_sequence` to the event's own sequence."""

    event: Event
    first_sequence: int | None = None


@dataclass(frozen=True)
class _Part:
    """One event, or all deltas of one text of an attempt, in the order in which they were added."""

    events: list[Event]
    attempt: StepAttempt | None = None

    def entry(self) -> Entry:
        if not isinstance(self.events[0].data, Delta) or self.attempt is None:
            return Entry(self.events[0])
        ordered = sorted(self.events, key=lambda event: event.sequence)
        data = _joined([event.data for event in ordered if isinstance(event.data, Delta)])
        return Entry(ordered[-1].model_copy(update={"data": data}), ordered[0].sequence)


def _joined(deltas: Sequence[Delta]) -> Delta:
    """One delta with the joined text of `deltas`, and the other fields of the last one."""
    last = deltas[-1]
    field = "arguments" if isinstance(last, ToolCallDelta) else "text"
    return last.model_copy(update={field: "".join(getattr(delta, field) for delta in deltas)})


class PageBuilder:
    """Builds a page of at most `limit` entries from events, which are added forwards or, with `newest`, backwards.

    The caller may stop after any event. Then a joined delta has the deltas that were added until then.
    """

    def __init__(self, limit: int, types: Sequence[str] = (), *, coalesce: bool = True, newest: bool = False) -> None:
        self._limit = limit
        self._types = types
        self._coalesce = coalesce
        self._newest = newest
        self._parts: list[_Part] = []
        self._joined: dict[tuple[StepAttempt, str], _Part] = {}
        self._newest_attempts: dict[tuple[TurnId | None, int], int] = {}
        self._undecided: StepAttempt | None = None
        self._decided = False

    @property
    def entries(self) -> Sequence[Entry]:
        """In the requested order. A joined delta is sorted by its last sequence."""
        entries = [part.entry() for part in self._parts]
        return sorted(entries, key=lambda entry: entry.event.sequence, reverse=self._newest)

    @property
    def undecided_attempt(self) -> StepAttempt | None:
        """The attempt in the page that a later one may still make void: the added events do not show it."""
        return self._undecided if any(part.attempt == self._undecided for part in self._parts) else None

    def add(self, event: Event) -> bool:
        """Add `event`. False if it would be one entry too many: then the page ends before it."""
        attempt = attempt_of(event) if self._coalesce else None
        self._note_attempt(event, attempt)
        if self._is_void(attempt) or not matches(event, self._types):
            return True
        key = None if attempt is None or not isinstance(event.data, Delta) else (attempt, _text_of(event.data))
        if key in self._joined:
            self._joined[key].events.append(event)
            return True
        if len(self._parts) >= self._limit:
            return False
        self._parts.append(part := _Part([event], attempt))
        if key is not None:
            self._joined[key] = part
        return True

    def drop(self, attempt: StepAttempt) -> None:
        """Remove what `attempt` wrote from the page, because a later attempt at its step has begun."""
        self._note_start(attempt._replace(number=attempt.number + 1))
        self._undecided = None

    def _note_attempt(self, event: Event, attempt: StepAttempt | None) -> None:
        """Note what `event` shows about attempts."""
        if attempt is not None and isinstance(event.data, MessageStart):
            self._note_start(attempt)
        if self._newest:
            # Events are added from the newest to the oldest. What follows an older attempt was already added, so only
            # the newest attempt can be undecided.
            if not self._decided and (attempt is not None or settles_attempt(event)):
                self._decided, self._undecided = True, attempt
        elif attempt is not None and not self._is_void(attempt):
            self._undecided = attempt
        elif settles_attempt(event):
            self._undecided = None

    def _note_start(self, attempt: StepAttempt) -> None:
        step = (attempt.turn_id, attempt.step)
        self._newest_attempts[step] = max(attempt.number, self._newest_attempts.get(step, 0))
        self._parts = [part for part in self._parts if not self._is_void(part.attempt)]

    def _is_void(self, attempt: StepAttempt | None) -> bool:
        return attempt is not None and attempt.number < self._newest_attempts.get((attempt.turn_id, attempt.step), 0)


def attempt_of(event: Event) -> StepAttempt | None:
    """The attempt that `event` starts or continues. It is void as soon as a later attempt starts."""
    match event.data:
        case MessageStart() | MessageDelta() | ReasoningDelta() | ToolCallDelta() as data:
            return StepAttempt(event.turn_id, data.step, data.attempt)
        case _:
            return None


def _text_of(delta: Delta) -> str:
    """Which of an attempt's texts `delta` continues."""
    return delta.id if isinstance(delta, ToolCallDelta) else delta.type


def settles_attempt(event: Event) -> bool:
    """Whether `event` makes all attempts before it final."""
    return isinstance(event.data, MessageComplete | RunComplete | RunStart | SessionDeleted)


def matches(event: Event, types: Sequence[str]) -> bool:
    """Whether the type of `event` is one of `types`: names or patterns like `tool_call.*`. Empty: any type."""
    return not types or matches_any(types, event.type)


def matches_any(types: Sequence[str], event_type: str) -> bool:
    return any(_is_match(event_type, pattern) for pattern in types)


def _is_match(text: str, pattern: str) -> bool:
    """Whether `text` is `pattern`, in which `*` stands for any text. No part of `pattern` is tried twice."""
    start, *parts = pattern.split("*")
    if not parts:
        return text == pattern
    *middle, end = parts
    if not text.startswith(start):
        return False
    position = len(start)
    for part in middle:
        found = text.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return text.endswith(end) and len(text) - len(end) >= position
