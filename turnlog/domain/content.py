"""What a user wrote: a text, or parts in OpenAI's form, pictures and files among them. It is stored as it was sent."""

import re
from itertools import groupby
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    Tag,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema, to_json

from turnlog.domain.media import FILES, PICTURES, SOUNDS, TEXTS, check_data_url, decode_base64
from turnlog.domain.sizes import size_as_sent, size_of, size_of_body
from turnlog.domain.tolerance import is_from_store
from turnlog.domain.values import MAX_INLINE_TEXT_BYTES, Frozen

MAX_TEXT_BYTES = 256 * 1024
"""All text of a content together."""

MAX_CONTENT_BYTES = 1024 * 1024
"""A content as it is sent to the store, with the pictures, sound and files in it."""

MAX_PARTS = 64
MEDIA_BYTES = 4 * 1024
"""What a picture, sound or a file counts for in the memory of a conversation: its tokens do not follow its bytes."""

_URL = re.compile(r"https://[^\s/]\S*")


def _is_none(value: object) -> bool:
    return value is None


def _optional(**more: Any) -> Any:
    """A field that is left out where it was not sent."""
    return Field(None, exclude_if=_is_none, **more)


class SentPart(Frozen):
    """What is returned in the form in which it was sent."""


class TextPart(SentPart):
    """A text."""

    type: Literal["text"]
    text: str = Field(min_length=1)


class ImageUrl(SentPart):
    """Where a picture is: an https URL, or a data URL of a PNG, JPEG, GIF or WebP."""

    url: str = Field(json_schema_extra={"pattern": r"^(https://[^\s/]|data:image/(png|jpeg|gif|webp);)"})
    detail: Literal["auto", "low", "high"] | None = _optional()

    @model_validator(mode="after")
    def _is_picture(self) -> Self:
        if not _URL.fullmatch(self.url):
            check_data_url(self.url, PICTURES, "an https URL, or a data URL of a PNG, JPEG, GIF or WebP picture")
        return self


class ImagePart(SentPart):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


class Audio(SentPart):
    """Sound, in base64."""

    data: str
    format: Literal["wav", "mp3"]

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if not SOUNDS[self.format](decode_base64(self.data, "sound in base64")):
            raise ValueError(f"the data is not {self.format} sound")
        return self


class AudioPart(SentPart):
    """Sound."""

    type: Literal["input_audio"]
    input_audio: Audio


class File(SentPart):
    """A file: its data URL (a PDF, a text or a picture), or the id under which the model's server keeps it."""

    file_data: str | None = _optional()
    file_id: str | None = _optional(min_length=1, max_length=128)
    filename: str | None = _optional(min_length=1, max_length=255)

    @model_validator(mode="after")
    def _is_file(self) -> Self:
        if (self.file_data is None) == (self.file_id is None):
            raise ValueError("takes one of file_data and file_id")
        if self.file_data is not None:
            check_data_url(self.file_data, FILES, "a data URL of a PDF, a text (plain, markdown, csv) or a picture")
        return self


class FilePart(SentPart):
    """A file."""

    type: Literal["file"]
    file: File


class UnknownPart(SentPart):
    """A part that a later release accepted, as it was sent."""

    fields: dict[str, Any]

    @model_serializer
    def _unchanged(self) -> dict[str, Any]:
        return self.fields


_KnownPart: TypeAlias = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]


class _KnownOrStored:
    """Accepts parts of this release, and from a store any other part."""

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        output = core_schema.simple_ser_schema("any")
        known = handler.generate_schema(_KnownPart)
        return core_schema.with_info_wrap_validator_function(_keep_part, known, serialization=output)


def _keep_part(value: Any, validate: core_schema.ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    if isinstance(value, UnknownPart):
        return value
    try:
        return validate(value)
    except ValidationError:
        if is_from_store(info) and isinstance(value, dict):
            return UnknownPart(fields=value)  # pyright: ignore[reportUnknownArgumentType]
        raise


ContentPart: TypeAlias = Annotated[TextPart | ImagePart | AudioPart | FilePart | UnknownPart, _KnownOrStored()]
Parts: TypeAlias = tuple[ContentPart, ...]

_TEXT, _LIST = "one text", "list of parts"  # the space keeps them out of the pointers of errors: no field has one


def _form_of(content: object) -> str:
    return _LIST if isinstance(content, list | tuple) else _TEXT


Content: TypeAlias = Annotated[
    # Not strict: what a discriminator has seen is no JSON to pydantic any more, and a list is no tuple.
    Annotated[str, Tag(_TEXT)] | Annotated[Parts, Field(strict=False), Tag(_LIST)],
    Discriminator(_form_of),  # an error then names what is wrong with the form that was sent, not with both
]


def content_text(content: Content) -> str:
    """Return `content` as text: texts as they are, and a name for each picture, sound or file, on its own line."""
    if isinstance(content, str):
        return content
    runs = groupby(content, key=lambda part: isinstance(part, TextPart))
    return "\n".join(("" if is_text else "\n").join(map(_name_of, run)) for is_text, run in runs)


def _name_of(part: ContentPart) -> str:
    match part:
        case TextPart(text=text):
            return text
        case ImagePart():
            return "[picture]"
        case AudioPart():
            return "[sound]"
        case FilePart(file=file):
            return f"[file {file.filename}]" if file.filename else "[file]"
        case UnknownPart():
            return "[something else]"


def content_bytes(content: Content) -> int:
    """Return how many bytes `content` counts for in the memory of a conversation."""
    return size_of(content) if isinstance(content, str) else sum(map(_remembered_bytes, content))


def _remembered_bytes(part: ContentPart) -> int:
    match part:
        case TextPart(text=text):
            return size_of(text)
        case FilePart(file=File(file_data=str(url))) if url.startswith(tuple(f"data:{kind};" for kind in TEXTS)):
            return len(url) * 3 // 4
        case _:
            return MEDIA_BYTES


def inline_text(content: Content) -> str:
    """Return the text of `content` that its message and its events hold; none if it is large."""
    text = content_text(content)
    return text if size_as_sent(text) <= MAX_INLINE_TEXT_BYTES else ""


def bytes_stored(content: Content) -> int:
    """Return the size of `content` as JSON if it is stored in a document of its own; 0 if its message holds it."""
    return 0 if isinstance(content, str) and content == inline_text(content) else len(to_json(content))


def readable_parts(parts: Parts) -> Parts:
    """Return `parts` with a name instead of each part that this release cannot read."""
    return tuple(
        TextPart(type="text", text=_name_of(part)) if isinstance(part, UnknownPart) else part for part in parts
    )


def has_media(content: Content) -> bool:
    return not isinstance(content, str) and any(not isinstance(part, TextPart) for part in content)


def check_content(content: Content) -> None:
    """Raise ValueError if `content` is blank or too large."""
    texts = [content] if isinstance(content, str) else [part.text for part in content if isinstance(part, TextPart)]
    if not has_media(content) and not any(map(str.strip, texts)):
        raise ValueError("the message is empty")
    if sum(map(size_of, texts)) > MAX_TEXT_BYTES:
        raise ValueError(f"the text is larger than {MAX_TEXT_BYTES // 1024} KB")
    if not isinstance(content, str) and len(content) > MAX_PARTS:
        raise ValueError(f"the message has more than {MAX_PARTS} parts")
    size = size_as_sent(content) if isinstance(content, str) else size_of_body(to_json(content).decode())
    if size > MAX_CONTENT_BYTES:
        raise ValueError(f"the message is larger than {MAX_CONTENT_BYTES // 1024} KB, its pictures and files included")


def input_content(content: Content) -> Any:
    """Return `content` in the form of the Responses API."""
    return content if isinstance(content, str) else [_input_part(part) for part in content]


def _input_part(part: ContentPart) -> dict[str, Any]:
    match part:
        case TextPart(text=text):
            return {"type": "input_text", "text": text}
        case ImagePart(image_url=image):
            detail = {} if image.detail is None else {"detail": image.detail}
            return {"type": "input_image", "image_url": image.url, **detail}
        case FilePart(file=file):
            return {"type": "input_file", **file.model_dump()}
        case AudioPart() | UnknownPart():
            return part.model_dump()
