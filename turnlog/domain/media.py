"""Pictures, sound and files: their kinds, and whether the bytes are what they claim to be."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w-]+=[\w.+-]+)*;base64,")

IsKind: TypeAlias = Callable[[bytes], object]


def _begins(*heads: bytes) -> IsKind:
    return lambda data: data.startswith(heads)


def _riff(kind: bytes) -> IsKind:
    return lambda data: data[:4] == b"RIFF" and data[8:12] == kind


PICTURES: Mapping[str, IsKind] = {
    "image/png": _begins(b"\x89PNG\r\n\x1a\n"),
    "image/jpeg": _begins(b"\xff\xd8\xff"),
    "image/gif": _begins(b"GIF87a", b"GIF89a"),
    "image/webp": _riff(b"WEBP"),
}
TEXTS: Mapping[str, IsKind] = {"text/plain": bool, "text/markdown": bool, "text/csv": bool}
FILES: Mapping[str, IsKind] = {"application/pdf": _begins(b"%PDF-"), **TEXTS, **PICTURES}
SOUNDS: Mapping[str, IsKind] = {
    "wav": _riff(b"WAVE"),
    "mp3": _begins(b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa"),
}


def check_data_url(url: str, kinds: Mapping[str, IsKind], wanted: str) -> None:
    """Raises ValueError: `url` is no data URL of one of the `kinds`. `wanted` describes them."""
    match = _DATA_URL.match(url)
    if match is None or match[1] not in kinds:
        raise ValueError(f"takes {wanted}")
    if not kinds[match[1]](decode_base64(url[match.end() :], "a data URL in base64")):
        raise ValueError(f"the data is not {match[1]}")


def decode_base64(text: str, wanted: str) -> bytes:
    """The bytes that `text` encodes. Raises ValueError: it is not `wanted`."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"takes {wanted}") from None
