"""AG-UI: the input of a run. Fields that are not used here are accepted, since the protocol's clients send them all."""
# ruff: noqa: N815  # the protocol's own names

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from turnlog.api.shapes.common import ChosenSessionId, Name
from turnlog.domain.content import Content, check_content
from turnlog.domain.errors import FieldProblem, InvalidRequestError
from turnlog.domain.values import OnBusy

MAX_ID_LENGTH = 128

_OPEN = ConfigDict(frozen=True, extra="ignore", strict=True)
_CONTENT: TypeAdapter[Content] = TypeAdapter(Content)
_AUDIO_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


class AgUiMessage(BaseModel):
    """A message as the client has it. Only the newest one of the user is posted, and results of tools are read."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    id: str = Field(min_length=1)
    role: Literal["user", "assistant", "system", "developer", "tool", "activity", "reasoning"]
    content: JsonValue = Field(None, description="a text, or a list of parts: `text`, `image`, `audio`, `document`")
    toolCallId: str | None = Field(None, description="of a tool's result: the call that it answers")
    error: str | None = Field(None, description="of a tool's result: why there is none")

    @property
    def as_sent(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


class ApprovalPayload(BaseModel):
    """The answer to an interrupt. `reason`: why the call is denied; the model reads it."""

    model_config = _OPEN

    approved: bool
    reason: str | None = Field(None, max_length=1024)


class ResolvedInterrupt(BaseModel):
    """An interrupt that somebody answered. `interruptId` is the id of the tool call."""

    model_config = _OPEN

    interruptId: str
    status: Literal["resolved"]
    payload: ApprovalPayload


class CancelledInterrupt(BaseModel):
    """An interrupt that nobody answers: its call is denied."""

    model_config = _OPEN

    interruptId: str
    status: Literal["cancelled"]


ResumeEntry: TypeAlias = Annotated[ResolvedInterrupt | CancelledInterrupt, Field(discriminator="status")]


class ForwardedProps(BaseModel):
    """What a page may choose for a message. Other fields are ignored."""

    model_config = _OPEN

    model: Name | None = None
    on_busy: OnBusy = Field("enqueue", description="what to do while a turn runs; if absent: `enqueue`")


class RunAgentInput(BaseModel):
    """The input of a run (AG-UI 1.0). `threadId` is the session's id, and `runId` is the key of a retry."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        strict=True,
        json_schema_extra={
            "examples": [
                {"threadId": "demo", "runId": "run-1", "messages": [{"id": "m1", "role": "user", "content": "Hello"}]}
            ]
        },
    )

    threadId: ChosenSessionId
    runId: str = Field(min_length=1, max_length=MAX_ID_LENGTH, pattern=r"^\S+$")
    messages: list[AgUiMessage]
    resume: list[ResumeEntry] = Field([], description="answers to the interrupts of the run before")
    forwardedProps: ForwardedProps | None = None
    tools: JsonValue = Field(None, description="not used: an agent declares its tools itself")
    context: JsonValue = Field(None, description="not used")
    state: JsonValue = Field(None, description="not used")

    @property
    def newest_of_user(self) -> int | None:
        """The index of the newest message of the user."""
        indexes = [index for index, message in enumerate(self.messages) if message.role == "user"]
        return indexes[-1] if indexes else None


def content_of(sent: RunAgentInput, index: int) -> Content:
    """The content of a message in the form that is posted.

    Raises:
        InvalidRequestError: it is blank or too large, or a part has no counterpart.
    """
    content = sent.messages[index].content
    try:
        parts = [_posted_part(part) for part in content] if isinstance(content, list) else content
        posted = _CONTENT.validate_python(parts)
        check_content(posted)
    except ValueError as error:
        is_shape = isinstance(error, ValidationError)
        detail = error.errors()[0]["msg"].removeprefix("Value error, ") if is_shape else str(error)
        problem = FieldProblem(f"/messages/{index}/content", detail)
        raise InvalidRequestError(f"The newest message of the user can't be posted: {detail}", (problem,)) from error
    return posted


def text_of(message: AgUiMessage) -> str:
    """The text of a tool's result."""
    if isinstance(message.content, list):
        return "\n".join(str(part["text"]) for part in message.content if isinstance(part, dict) and "text" in part)
    return message.content if isinstance(message.content, str) else ""


def _posted_part(part: JsonValue) -> dict[str, Any]:
    """The part in OpenAI's form."""
    match part:
        case {"type": "text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": "image", "source": source}:
            return {"type": "image_url", "image_url": {"url": _url_of(source)}}
        case {"type": "audio", "source": {"type": "data", "value": data, "mimeType": str(kind)}}:
            return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO_FORMATS.get(kind, kind)}}
        case {"type": "document", "source": {"type": "file", "value": file_id}}:
            return {"type": "file", "file": {"file_id": file_id}}
        case {"type": "document", "source": source}:
            return {"type": "file", "file": {"file_data": _url_of(source)}}
        case _:
            raise ValueError("a part is not a text, an image, audio or a document in a form that is known")


def _url_of(source: JsonValue) -> str:
    match source:
        case {"type": "url", "value": str(url)}:
            return url
        case {"type": "data", "value": str(data), "mimeType": str(kind)}:
            return f"data:{kind};base64,{data}"
        case _:
            raise ValueError("the source of a part is neither a URL nor data")


def content_parts(content: Content) -> Any:
    """A posted content as the content of an AG-UI message."""
    if isinstance(content, str):
        return content
    return [_shown_part(part.model_dump()) for part in content]


def _shown_part(part: dict[str, Any]) -> dict[str, Any]:
    match part:
        case {"type": "text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": "image_url", "image_url": {"url": url}}:
            return {"type": "image", "source": _source_of(url)}
        case {"type": "input_audio", "input_audio": {"data": data, "format": form}}:
            kind = "audio/wav" if form == "wav" else "audio/mpeg"
            return {"type": "audio", "source": {"type": "data", "value": data, "mimeType": kind}}
        case {"type": "file", "file": {"file_data": str(url)}}:
            return {"type": "document", "source": _source_of(url)}
        case {"type": "file", "file": {"file_id": str(file_id)}}:
            return {"type": "document", "source": {"type": "file", "value": file_id}}
        case _:
            return {"type": "text", "text": "[something else]"}


def _source_of(url: str) -> dict[str, Any]:
    head, separator, data = url.partition(";base64,")
    if url.startswith("data:") and separator:
        return {"type": "data", "value": data, "mimeType": head.removeprefix("data:")}
    return {"type": "url", "value": url}
