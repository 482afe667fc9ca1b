"""The request bodies: one model each, from which the API's description is made."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    field_validator,
    model_validator,
)
from pydantic_core import to_json

from shared.domain.ids import SESSION_ID_PATTERN, TurnId, is_session_id
from shared.domain.session import METADATA_BYTES
from shared.domain.values import OnBusy, size_of

CONTENT_BYTES = 256 * 1024
EVENT_BYTES = 64 * 1024
MAX_EVENTS = 100
_EVENT_TYPE = r"^[A-Za-z0-9_.:\-]{1,64}$"
_RESERVED = r"^(run\..*|session\..*|memory\..*|message\.queued|message\.withdrawn|user_message|status|done)$"


def _within_metadata_limit(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(to_json(value)) > METADATA_BYTES:
        raise ValueError(f"metadata takes at most {METADATA_BYTES // 1024} KB")
    return value


def _not_dots(value: str) -> str:
    if not is_session_id(value):
        raise ValueError("`.` and `..` can't be session ids")
    return value


def _whole(value: Any) -> Any:
    """JSON Schema's integers: `1.0` is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Metadata = Annotated[dict[str, JsonValue], AfterValidator(_within_metadata_limit)]
OwnSessionId = Annotated[
    str,
    Field(pattern=SESSION_ID_PATTERN, json_schema_extra={"not": {"enum": [".", ".."]}}),
    AfterValidator(_not_dots),
]
Name = Annotated[str, Field(max_length=256)]
Whole = Annotated[int, Field(ge=1), BeforeValidator(_whole)]


class Body(BaseModel):
    """A request body. Unknown fields are refused: a typo must not pass for a wish that was granted, nor 1 for true."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _example(**fields: JsonValue) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


class CreateSession(Body):
    model_config = _example(session_id="demo", session_name="A first conversation")

    session_id: OwnSessionId | None = Field(None, description="your own id; made when absent")
    session_name: Name | None = None
    project_id: Name | None = Field(None, description="a project's id, or a label of your own")
    project_dir: Annotated[str, Field(max_length=4096)] | None = None
    agent_name: Name | None = Field(None, description="absent: `vibecoder` in a project, else `assistant`")
    node_id: Name | None = None
    metadata: Metadata = {}


class UpdateSession(Body):
    """RFC 7396: what is absent stays, null clears, objects merge."""

    model_config = _example(session_name="Renamed", metadata={"topic": "stories"})

    session_name: Name | None = None
    agent_name: Name | None = None
    metadata: Metadata | None = None
    archived: bool | None = None


class ForkSession(Body):
    model_config = _example(session_name="Another way on")

    at_sequence: Whole | None = Field(None, description="the last event that may be copied; else the log's end")
    session_name: Name | None = None


class TextPart(Body):
    type: Literal["text"]
    text: str


def _name_content_in_three_ways(schema: dict[str, Any]) -> None:
    """Say in the schema what `PostMessage` does: one of three names, and not blank."""
    content = schema["properties"]["content"]
    text, parts = content["anyOf"]
    text["pattern"] = r"\S"
    parts["contains"] = {"type": "object", "properties": {"text": {"pattern": r"\S"}}}
    names = ("content", "prompt", "text")
    schema["properties"] |= {name: {**content, "description": "the same as `content`"} for name in names[1:]}
    schema["required"] = []
    schema["oneOf"] = [{"required": [name]} for name in names]
    schema["examples"] = [{"content": "Tell me a story"}]


class PostMessage(Body):
    model_config = ConfigDict(json_schema_extra=_name_content_in_three_ways)

    content: str | list[TextPart] = Field(description="the message; `prompt` and `text` are accepted names for it")
    agent: Name | None = None
    model: Name | None = None
    metadata: Metadata = {}
    on_busy: OnBusy = "enqueue"

    @model_validator(mode="before")
    @classmethod
    def _one_name_for_content(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        body: dict[str, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]  # JSON objects have text keys
        given = [name for name in ("content", "prompt", "text") if name in body]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} name the same field: send one")
        if given:
            body["content"] = body.pop(given[0])
        return body

    @field_validator("content")
    @classmethod
    def _says_something(cls, value: str | list[TextPart]) -> str | list[TextPart]:
        text = value if isinstance(value, str) else "".join(part.text for part in value)
        if not text.strip():
            raise ValueError("the message is empty")
        if size_of(text) > CONTENT_BYTES:
            raise ValueError(f"the message is longer than {CONTENT_BYTES // 1024} KB")
        return value

    @property
    def text(self) -> str:
        content = self.content
        return content if isinstance(content, str) else "".join(part.text for part in content)


class Cancel(Body):
    model_config = _example(reason="no longer needed")

    turn_id: TurnId | None = None
    queue: Literal["keep", "clear"] = Field("keep", description="`clear`: withdraw the waiting messages, too")
    reason: Annotated[str, Field(max_length=1024)] | None = None


class OutsideEvent(BaseModel):
    """An event another producer appends: `event_type`, and any further fields, kept as they come."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        json_schema_extra={"examples": [{"event_type": "deployment", "service": "web", "outcome": "succeeded"}]},
    )

    event_type: str = Field(pattern=_EVENT_TYPE, json_schema_extra={"not": {"pattern": _RESERVED}})

    @field_validator("event_type")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if re.match(_RESERVED, value):
            raise ValueError(f"{value} is reserved: only this service appends it")
        return value

    @model_validator(mode="after")
    def _within_limit(self) -> Self:
        if len(to_json(self)) > EVENT_BYTES:
            raise ValueError(f"an event takes at most {EVENT_BYTES // 1024} KB")
        return self

    @property
    def fields(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class OutsideEvents(Body):
    """A list of events as it was sent, or one event in a list of its own."""

    events: Annotated[list[OutsideEvent], Field(min_length=1, max_length=MAX_EVENTS)]


class FlatEvent(OutsideEvent):
    """An event in its older form, which names its session. `session_start` may say what that session is to be."""

    model_config = _example(event_type="session_start", session_id="demo", session_name="A first conversation")

    session_id: OwnSessionId

    @property
    def describing(self) -> dict[str, Any]:
        """What of the event describes the session."""
        return {name: value for name, value in self.fields.items() if name in CreateSession.model_fields}
