"""A page of the log as a reader wants it: filtered, deltas joined, void attempts left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from shared.domain.chunks import (
    Event,
)
from shared.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageStart,
    RunComplete,
    RunStart,
    SessionDeleted,
)
from shared.domain.ids import TurnId

DELTA = "message.delta"


class AttemptAt(NamedTuple):
    """One attempt at a step's text. Attempts follow each other: one begins when the one before it is over."""

    turn_id: TurnId | None
    step: int
    number: int


@dataclass(frozen=True)
class Entry:
    """An event as it is listed. A joined delta stands for those from `first` to the event's own sequence."""

    event: Event
    first: int | None = None


@dataclass(frozen=True)
class _Gathered:
    """An event, or the deltas of an attempt, in the order they were walked."""

    events: list[Event]
    of: AttemptAt | None = None

    def entry(self) -> Entry:
        if not isinstance(self.events[0].data, MessageDelta) or self.of is None:
            return Entry(self.events[0])
        ordered = sorted(self.events, key=lambda event: event.sequence)
        text = "".join(event.data.text for event in ordered if isinstance(event.data, MessageDelta))
        data = self.events[0].data.model_copy(update={"text": text})
        return Entry(ordered[-1].model_copy(update={"data": data}), ordered[0].sequence)


class Walk:
    """Gathers at most `limit` entries while events are walked, forwards or, `newest`, backwards.

    Any event may be the last one walked: an attempt's deltas are joined as far as they were.
    """

    def __init__(self, limit: int, types: Sequence[str] = (), *, coalesce: bool = True, newest: bool = False) -> None:
        self._limit = limit
        self._types = types
        self._coalesce = coalesce
        self._newest = newest
        self._gathered: list[_Gathered] = []
        self._joined: dict[AttemptAt, _Gathered] = {}
        self._begun: dict[tuple[TurnId | None, int], int] = {}
        self._in_doubt: AttemptAt | None = None
        self._decided = False

    @property
    def entries(self) -> Sequence[Entry]:
        """In the order that was asked for: a joined delta stands where its last one does."""
        entries = [gathered.entry() for gathered in self._gathered]
        return sorted(entries, key=lambda entry: entry.event.sequence, reverse=self._newest)

    @property
    def in_doubt(self) -> AttemptAt | None:
        """An attempt with a part in the page of which nothing walked tells whether a later one made it void."""
        return self._in_doubt if any(gathered.of == self._in_doubt for gathered in self._gathered) else None

    def take(self, event: Event) -> bool:
        """Walk over `event`; False if it would be one entry too many, and the page ends before it."""
        attempt = attempt_of(event) if self._coalesce else None
        self._note(event, attempt)
        if self._is_void(attempt) or not matches(event, self._types):
            return True
        joined = self._joined.get(attempt) if attempt and isinstance(event.data, MessageDelta) else None
        if joined is not None:
            joined.events.append(event)
            return True
        if len(self._gathered) >= self._limit:
            return False
        self._gathered.append(gathered := _Gathered([event], attempt))
        if attempt and isinstance(event.data, MessageDelta):
            self._joined[attempt] = gathered
        return True

    def leave_out(self, attempt: AttemptAt) -> None:
        """Take what `attempt` wrote out of the page: a later one has begun its step afresh."""
        self._begin(attempt._replace(number=attempt.number + 1))
        self._in_doubt = None

    def _note(self, event: Event, attempt: AttemptAt | None) -> None:
        """Learn from `event` what became of attempts."""
        if attempt is not None and isinstance(event.data, MessageStart):
            self._begin(attempt)
        if self._newest:
            # Whatever decides about an attempt is later, so walked before it: only the very first can be in doubt.
            if not self._decided and (attempt is not None or settles_attempt(event)):
                self._decided, self._in_doubt = True, attempt
        elif attempt is not None and not self._is_void(attempt):
            self._in_doubt = attempt
        elif settles_attempt(event):
            self._in_doubt = None

    def _begin(self, attempt: AttemptAt) -> None:
        step = (attempt.turn_id, attempt.step)
        self._begun[step] = max(attempt.number, self._begun.get(step, 0))
        self._gathered = [gathered for gathered in self._gathered if not self._is_void(gathered.of)]

    def _is_void(self, attempt: AttemptAt | None) -> bool:
        return attempt is not None and attempt.number < self._begun.get((attempt.turn_id, attempt.step), 0)


def attempt_of(event: Event) -> AttemptAt | None:
    """The attempt that `event` begins or goes on with; void as soon as a later one begins."""
    match event.data:
        case MessageStart(step=step, attempt=number) | MessageDelta(step=step, attempt=number):
            return AttemptAt(event.turn_id, step, number)
        case _:
            return None


def settles_attempt(event: Event) -> bool:
    """Whether after `event` no attempt that came before it can be made void any more."""
    return isinstance(event.data, MessageComplete | RunComplete | RunStart | SessionDeleted)


def matches(event: Event, types: Sequence[str]) -> bool:
    """Whether the event's type is one of `types`, names or patterns such as `tool_call.*`; none at all means any."""
    return not types or matches_any(types, event.type)


def matches_any(types: Sequence[str], event_type: str) -> bool:
    return any(fnmatchcase(event_type, wanted) for wanted in types)
