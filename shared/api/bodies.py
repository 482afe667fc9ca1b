"""The request bodies: one model each, from which the API's description is made."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
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

PROMPT_BYTES = 256 * 1024
EVENT_BYTES = 64 * 1024
MOST_EVENTS = 100
_EVENT_TYPE = r"^[A-Za-z0-9_.:\-]{1,64}$"
_RESERVED = frozenset({"message.queued", "message.withdrawn", "user_message", "status", "done"})


def _within_metadata_limit(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(to_json(value)) > METADATA_BYTES:
        raise ValueError(f"metadata takes at most {METADATA_BYTES // 1024} KB")
    return value


def _not_dots(value: str) -> str:
    if not is_session_id(value):
        raise ValueError("`.` and `..` can't be session ids")
    return value


Metadata = Annotated[dict[str, JsonValue], AfterValidator(_within_metadata_limit)]
OwnSessionId = Annotated[str, Field(pattern=SESSION_ID_PATTERN), AfterValidator(_not_dots)]
Name = Annotated[str, Field(max_length=256)]


class Body(BaseModel):
    """A request body. Unknown fields are refused: a typo must not pass for a wish that was granted."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CreateSession(Body):
    session_id: OwnSessionId | None = Field(None, description="your own id; made when absent")
    session_name: Name | None = None
    project_id: Name | None = None
    project_dir: Annotated[str, Field(max_length=4096)] | None = None
    agent_name: Name | None = None
    node_id: Name | None = None
    metadata: Metadata = {}


class UpdateSession(Body):
    """RFC 7396: what is absent stays, null clears, objects merge."""

    session_name: Name | None = None
    agent_name: Name | None = None
    metadata: Metadata | None = None
    archived: bool | None = None


class TextPart(Body):
    type: Literal["text"]
    text: str


class PostMessage(Body):
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
        if size_of(text) > PROMPT_BYTES:
            raise ValueError(f"the message is longer than {PROMPT_BYTES // 1024} KB")
        return value

    @property
    def text(self) -> str:
        content = self.content
        return content if isinstance(content, str) else "".join(part.text for part in content)


class Cancel(Body):
    turn_id: TurnId | None = None
    reason: Annotated[str, Field(max_length=1024)] | None = None


class OutsideEvent(BaseModel):
    """An event another producer appends: `event_type`, and any further fields, kept as they come."""

    model_config = ConfigDict(frozen=True, extra="allow")

    event_type: str = Field(pattern=_EVENT_TYPE)

    @field_validator("event_type")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in _RESERVED or value.startswith(("run.", "session.")):
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

    events: Annotated[list[OutsideEvent], Field(min_length=1, max_length=MOST_EVENTS)]
