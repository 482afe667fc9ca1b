"""Sizes of texts and documents as the store counts them.

The store is sent JSON, and a document's body is JSON text inside that JSON. So each quote and backslash of a body is
escaped once more, and a character of a text takes 1 to 7 bytes.
"""

from bisect import bisect_right

from pydantic_core import to_json

_QUOTES = 4
"""The bytes of the quotes around a text in a body."""


def size_of(text: str) -> int:
    """The size of `text` in UTF-8 bytes."""
    return len(text) if text.isascii() else len(text.encode())


def size_of_body(body: str) -> int:
    """The size of a document's body, which is JSON text, as it is sent."""
    return size_of(body) + body.count('"') + body.count("\\")


def size_as_sent(text: str) -> int:
    """The size of `text` as it is sent within a document's body: a quote takes 4 bytes, a control character up to 7."""
    body = to_json(text)
    return len(body) + body.count(b'"') + body.count(b"\\") - _QUOTES


def truncate(text: str, limit: int) -> tuple[str, bool]:
    """The beginning of `text` that takes at most `limit` bytes as it is sent, and whether anything was cut off."""
    if size_as_sent(text) <= limit:
        return text, False
    limit = max(0, limit)
    # Each character takes a byte at least.
    length = bisect_right(range(min(len(text), limit) + 1), limit, key=lambda end: size_as_sent(text[:end])) - 1
    return text[:length], True
