"""Building is strict, and reading keeps what a next release has stored."""

import json
import warnings
from collections.abc import Generator
from typing import Any, cast

import pytest
from pydantic import BaseModel, ValidationError

from tests.next_release.recorded import KINDS, recorded
from turnlog.domain.chunks import Chunk, Event
from turnlog.domain.content import TextPart, UnknownPart, content_text
from turnlog.domain.events import EVENT_TYPES, MessageDelta, SessionUpdated, UnknownEvent
from turnlog.domain.fold import fold
from turnlog.domain.ids import SessionId, WriterId
from turnlog.domain.project import Project
from turnlog.domain.session import ActiveTurn, SessionState
from turnlog.domain.stored_documents import MessageParts
from turnlog.domain.tolerance import load
from turnlog.domain.values import ToolOutcome, Usage
from turnlog.stores.reading import dump_events, load_events

DOCUMENTS: dict[str, Any] = recorded("documents")
MODELS: list[tuple[type[BaseModel], Any]] = [
    (SessionState, recorded("state")),
    (SessionState, recorded("active_state")),
    (Project, recorded("project")),
    *((kind, DOCUMENTS[str(kind.model_fields["kind"].default)]) for kind in KINDS),
]


@pytest.fixture(autouse=True)
def no_warnings() -> Generator[None]:
    with warnings.catch_warnings(action="error"):
        yield


def test_there_is_a_record_of_every_kind_of_document() -> None:
    assert DOCUMENTS.keys() == {kind.model_fields["kind"].default for kind in KINDS}


@pytest.mark.parametrize(("model", "stored"), MODELS, ids=lambda value: getattr(value, "__name__", ""))
def test_what_a_next_release_stored_is_written_back(model: type[BaseModel], stored: Any) -> None:
    value = load(model, json.dumps(stored))

    written = json.loads(value.model_copy().model_dump_json())

    assert _contains(written, stored)


def test_events_of_a_next_release_are_written_back_as_they_are() -> None:
    stored = recorded("events")

    written = json.loads(dump_events(load_events(json.dumps(stored))))

    assert _contains(written, stored)


def test_an_event_that_is_not_known_or_not_readable_is_kept_whole() -> None:
    events = load_events(json.dumps(recorded("events")))

    unknown = [event for event in events if isinstance(event.data, UnknownEvent)]

    assert [event.type for event in unknown] == ["budget.warning", "error"]
    warning = unknown[0].data
    assert isinstance(warning, UnknownEvent)
    assert warning.fields == recorded("events")[3]["data"]


def test_an_unknown_event_changes_only_the_head() -> None:
    events = load_events(json.dumps(recorded("events")))

    def state_after(count: int) -> SessionState:
        chunk = Chunk(session_id=SessionId("ses_next"), writer=WriterId("w"), events=events[:count])
        state = fold(None, [chunk])
        assert state is not None
        return state

    before, after = state_after(3), state_after(4)
    assert after.model_copy(update={"head": 3, "size_bytes": before.size_bytes}) == before
    assert state_after(13).active_turn is None, "the end with an unknown status still ends the turn"


def test_a_fold_keeps_the_unknown_fields_of_the_state() -> None:
    stored = recorded("active_state")
    state = load(SessionState, json.dumps(stored))
    update = Event.model_validate(
        {"sequence": 14, "timestamp": stored["updated_at"], "data": SessionUpdated(changes={"session_name": "x"})}
    )

    after = fold(state, [Chunk(session_id=state.session_id, writer=WriterId("w"), events=(update,))])

    assert after is not None
    written = json.loads(after.model_dump_json(exclude_none=True))
    assert written["session_name"] == "x"
    assert written["allowance"] == stored["allowance"]
    assert written["active_turn"]["priority"] == "low"
    assert written["usage_rows"][0]["price"] == "0.1"


def test_a_sum_keeps_counts_that_are_not_known() -> None:
    used = load(Usage, '{"prompt_tokens": 3, "audio_tokens": 1}')

    assert (used + Usage(prompt_tokens=2)).model_dump() == {
        "prompt_tokens": 5,
        "completion_tokens": 0,
        "total_tokens": 0,
        "audio_tokens": 1,
    }


def test_a_part_that_is_not_known_has_a_name_for_the_model() -> None:
    parts = load(MessageParts, json.dumps(DOCUMENTS["parts"])).parts

    assert isinstance(parts[1], UnknownPart)
    assert content_text(parts) == "Look\n[something else]"


@pytest.mark.parametrize("kind", [*EVENT_TYPES, ActiveTurn, SessionState, Usage, *KINDS, Project, Event, TextPart])
def test_building_with_an_unknown_field_is_an_error(kind: type[BaseModel]) -> None:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate({"budgte": 1})

    assert ("budgte", "extra_forbidden") in [(error["loc"][0], error["type"]) for error in refused.value.errors()]


def test_building_with_an_unknown_value_or_event_is_an_error() -> None:
    for build in (
        lambda: ToolOutcome.model_validate({"status": "timed_out"}),
        lambda: Event.model_validate({**recorded("events")[3]}),
        lambda: MessageParts.model_validate(DOCUMENTS["parts"]),
    ):
        with pytest.raises(ValidationError):
            build()


def test_a_copy_with_an_unknown_field_is_an_error() -> None:
    with pytest.raises(TypeError, match="budgte"):
        MessageDelta(step=1, attempt=1, text="").model_copy(update={"budgte": 1})


def _contains(written: Any, stored: Any) -> bool:
    """Whether `written` has all that `stored` has. It may also have defaults."""
    if isinstance(stored, dict):
        present = {key: value for key, value in cast("dict[str, Any]", stored).items() if value is not None}
        return all(key in written and _contains(written[key], value) for key, value in present.items())
    if isinstance(stored, list):
        items = cast("list[Any]", stored)
        return len(written) == len(items) and all(map(_contains, written, items))
    return written == stored
