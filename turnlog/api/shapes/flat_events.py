"""Events in the older, flat form: each names its session, and its fields are beside its type."""

from typing import Any, Literal

from typing_extensions import TypedDict

from turnlog.api.shapes.common import ChosenSessionId, timestamp, with_example
from turnlog.api.shapes.events import OutsideEvent, event_data
from turnlog.api.shapes.sessions import CreateSession
from turnlog.domain.chunks import Event
from turnlog.domain.events import Outside
from turnlog.domain.ids import PublicId, public_id
from turnlog.domain.session import SessionState


class FlatEvent(OutsideEvent):
    """An event in the older form: it names its session. A `session_start` may hold the fields of a new session."""

    model_config = with_example(event_type="session_start", session_id="demo", session_name="A first conversation")

    session_id: ChosenSessionId

    @property
    def session_fields(self) -> dict[str, Any]:
        """The fields that describe the session."""
        return {name: value for name, value in self.fields.items() if name in CreateSession.model_fields}


class FlatReceipt(TypedDict):
    ok: Literal[True]
    sequences: list[int]
    session_id: PublicId
    trace_id: str


class FlatEventList(TypedDict):
    """Each event has its fields beside `event_type`, `session_id`, `session_name` and `timestamp`."""

    events: list[dict[str, Any]]
    session_id: PublicId
    trace_id: str


def flat_event(state: SessionState, event: Event) -> dict[str, Any]:
    """The event with its fields beside its type and its session."""
    session_id = public_id(state.session_id)
    data = event_data(session_id, event)
    own = {"event_type": event.type, "session_id": session_id}
    sent = data if isinstance(event.data, Outside) else {}
    named = {"session_name": state.session_name, "timestamp": timestamp(event.timestamp)}
    return {**data, **own, **{name: sent.get(name, value) for name, value in named.items()}}
