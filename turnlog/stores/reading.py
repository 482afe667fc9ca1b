"""Reading what is stored, by this release or another one: an item that cannot be read must not hide the others."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from turnlog.domain.chunks import Event
from turnlog.domain.errors import SessionUnreadableError
from turnlog.domain.ids import SessionId
from turnlog.domain.session import SessionState
from turnlog.domain.tolerance import FROM_STORE, load

R = TypeVar("R")
T = TypeVar("T")

_EVENTS = TypeAdapter(tuple[Event, ...])

_REMAINS = {"session_id", "epoch", "thread_id", "owner", "project_id", "created_at", "updated_at", "deleted"}
"""What every release writes in the same way."""

_log = logging.getLogger(__name__)


def load_events(text: str) -> tuple[Event, ...]:
    """The stored events of a chunk. One that this release does not know is an `UnknownEvent`."""
    return _EVENTS.validate_json(text, context=FROM_STORE)


def dump_events(events: tuple[Event, ...]) -> str:
    """The form in which the events of a chunk are stored."""
    return _EVENTS.dump_json(events, exclude_none=True).decode()


def load_state(session_id: SessionId, body: str) -> SessionState:
    """The stored state.

    Raises:
        SessionUnreadableError: this version of the program cannot read it.
    """
    try:
        return load(SessionState, body)
    except ValidationError as error:
        raise SessionUnreadableError(session_id) from error


def remains_of(body: str, head: int) -> SessionState:
    """What a deletion has to know of a session, from its stored state and the end of its log."""
    stored = {name: value for name, value in json.loads(body).items() if name in _REMAINS}
    return SessionState.model_validate({**stored, "head": head}, context=FROM_STORE)


def state_or_none(session_id: str, body: str) -> SessionState | None:
    """The stored state; None, with an entry in the log, if this version of the program cannot read it."""
    return _read_or_none(lambda text: load(SessionState, text), f"The state of session {session_id}", body)


def readable(items: Iterable[R], read: Callable[[R], T], name: str) -> Iterator[T]:
    """What `read` returns for each of `items`. An item that it cannot read is logged, and left out."""
    for item in items:
        if (value := _read_or_none(read, name, item)) is not None:
            yield value


def _read_or_none(read: Callable[[R], T], name: str, item: R) -> T | None:
    try:
        return read(item)
    except ValidationError as error:
        # Without what is stored: a user may have written it.
        problems = [(each["loc"], each["type"]) for each in error.errors(include_input=False, include_url=False)]
        _log.error("%s cannot be read, and is left out: %s", name, problems[:5])
        return None
