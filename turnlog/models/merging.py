"""Merges the pieces of a streamed message as the streaming protocol means it."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from turnlog.domain.sizes import size_as_sent, size_of, truncate
from turnlog.domain.values import MAX_ANSWER_BYTES

MAX_TEXT_BYTES = MAX_ANSWER_BYTES + 7
"""A character more than an answer may have, so that the answer is marked as truncated."""

_MAX_FIELDS_BYTES = 256 * 1024
# Texts that say what a piece is, not what it adds: the same in each piece, or sent once.
_CONSTANT = frozenset(
    {"id", "type", "format", "role", "name", "object", "model", "index", "status", "signature", "thought_signature"}
)
_SURROGATE = re.compile("[\ud800-\udfff]")


class Room:
    """The bytes that one text, or several together, may take as they are sent to the store."""

    def __init__(self, max_bytes: int = MAX_ANSWER_BYTES) -> None:
        self._bytes_left = max_bytes

    def fit(self, piece: str) -> tuple[str, bool]:
        """Return the beginning of `piece` for which there is room, and whether it was cut. It takes the room."""
        piece, is_cut = truncate(piece, self._bytes_left)
        self._bytes_left -= size_as_sent(piece)
        return piece, is_cut


class Text:
    """A text that comes in pieces, cut where its room ends.

    A server may cut a character in two. The first half waits for the second one; alone, it is replaced.
    """

    def __init__(self, room: Room | None = None) -> None:
        self._room = room or Room()
        self._pieces: list[str] = []
        self._half = ""
        self.size = 0
        self.is_cut = False

    @property
    def value(self) -> str:
        return "".join(self._pieces)

    @property
    def last(self) -> str:
        """The newest piece, which costs less than the whole."""
        return self._pieces[-1] if self._pieces else ""

    def add(self, piece: Any) -> str:
        """Take in a piece; return what it adds to the text."""
        if not isinstance(piece, str) or not piece or self.is_cut:
            return ""
        if self._half or not piece.isascii():
            piece = self._with_whole_characters(piece)
        piece, self.is_cut = self._room.fit(piece)
        self._pieces.append(piece)
        self.size += size_of(piece)
        return piece

    def _with_whole_characters(self, piece: str) -> str:
        text = self._half + piece
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        return replaced_surrogates(text[:-1] if self._half else text)


class Fields:
    """The fields of a message that only its server knows, which come in pieces; without all of them if too large."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._bytes = 0

    def add(self, name: str, value: Any) -> None:
        """Merge a piece of a field. Lists and objects in it are not kept by reference."""
        if self._bytes > _MAX_FIELDS_BYTES:
            return
        self._bytes += len(value) if isinstance(value, str) else len(json.dumps(value))
        if self._bytes > _MAX_FIELDS_BYTES:
            self._fields.clear()
        elif isinstance(value, str) and name not in _CONSTANT and isinstance(known := self._fields.get(name), str):
            self._fields[name] = known + value  # as `merge` does: reasoning comes in thousands of pieces
        else:
            merge(self._fields, {name: value})

    def value(self) -> dict[str, Any]:
        return without_surrogates(self._fields)


def replaced_surrogates(text: str) -> str:
    """Join the halves of characters in `text`, and replace those without their other half."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_surrogates(value: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object that can be stored, and as it is where it can."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(replaced_surrogates(text)) if _SURROGATE.search(text) else value


def merge(target: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Merge `delta` into `target`: texts grow, entries of lists merge, an empty value replaces nothing."""
    for name, value in delta.items():
        known = target.get(name)
        match value:
            case None | "":
                continue
            case str() if isinstance(known, str) and name not in _CONSTANT:
                target[name] = known + value
            case list():
                entries = cast("list[Any]", known) if isinstance(known, list) else []
                target[name] = _merged_list(entries, cast("list[Any]", value))
            case dict():
                inner = dict(cast("dict[str, Any]", known)) if isinstance(known, dict) else {}
                merge(inner, cast("dict[str, Any]", value))
                target[name] = inner
            case _:
                target[name] = value


def _merged_list(known: list[Any], delta: list[Any]) -> list[Any]:
    merged = list(known)
    for item in delta:
        if not isinstance(item, dict):
            merged.append(item)
            continue
        entry = cast("dict[str, Any]", item)
        same = next((each for each in reversed(merged) if _is_same(each, entry)), None)
        if same is None:
            merged.append({})
            same = merged[-1]
        merge(same, entry)
    return merged


def _is_same(known: Any, entry: Mapping[str, Any]) -> bool:
    """Whether `entry` continues a known entry of a list. OpenRouter gives entries of other types the same index."""
    if not isinstance(known, dict) or entry.get("index") is None:
        return False
    fields = cast("dict[str, Any]", known)
    if fields.get("index") != entry["index"]:
        return False
    return all(not entry.get(name) or not fields.get(name) or entry[name] == fields[name] for name in ("type", "id"))
