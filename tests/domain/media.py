"""Pictures, sound and files as parts of a content: the smallest of each kind, and larger ones."""

from base64 import b64encode
from typing import Any

from pydantic import TypeAdapter

from turnlog.domain.content import Content

HEADS = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\0\0\0\0WEBP",
    "application/pdf": b"%PDF-1.7",
    "text/plain": b"Hi",
    "text/markdown": b"# Hi",
    "text/csv": b"a,b",
}
SOUNDS = {"wav": b"RIFF\0\0\0\0WAVE", "mp3": b"ID3"}

_CONTENT: TypeAdapter[Content] = TypeAdapter(Content)


def data_url(media_type: str, data: bytes | None = None) -> str:
    """The data URL of `data`; of the head of a file of this type if there is none."""
    return f"data:{media_type};base64,{b64encode(HEADS[media_type] if data is None else data).decode()}"


def text(content: str = "What is this?") -> dict[str, Any]:
    return {"type": "text", "text": content}


def picture(url: str | None = None, **more: Any) -> dict[str, Any]:
    """A picture: that at `url`, or the smallest PNG."""
    return {"type": "image_url", "image_url": {"url": url or data_url("image/png"), **more}}


def picture_of(size: int, mark: bytes = b"") -> dict[str, Any]:
    """A PNG whose data URL has about `size` bytes. `mark` makes it differ from others."""
    return picture(data_url("image/png", (HEADS["image/png"] + mark).ljust(size * 3 // 4, b"\0")))


def sound(kind: str = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": b64encode(SOUNDS[kind]).decode(), "format": kind}}


def file(media_type: str = "application/pdf", **more: Any) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": data_url(media_type), **more}}


def content_of(*parts: dict[str, Any]) -> Content:
    """The parts as the service holds them."""
    return _CONTENT.validate_python(list(parts))
