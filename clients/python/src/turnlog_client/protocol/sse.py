"""Parses server-sent events from bytes (html.spec.whatwg.org, "Server-sent events")."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

_LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines also splits at characters that may be in data
_new_decoder = codecs.getincrementaldecoder("utf-8-sig")  # it removes a byte order mark


@dataclass(frozen=True)
class Frame:
    """One frame. `id` is the last id seen, as the standard says; `event` is "message" if the frame names none."""

    event: str
    data: str
    id: str


@dataclass(frozen=True)
class Retry:
    """How many seconds to wait before the next connection."""

    seconds: float


@dataclass
class SseParser:
    """Takes a stream's bytes in pieces of any size, and yields each frame as soon as it is whole."""

    last_id: str = ""
    _decoder: codecs.IncrementalDecoder = field(default_factory=partial(_new_decoder, "replace"))
    _line: str = ""
    _ends_with_cr: bool = False
    _event: str = ""
    _data: list[str] = field(default_factory=list[str])

    def push(self, data: bytes) -> Iterator[Frame | Retry]:
        """Read the next bytes. A character or a line may be split between two calls."""
        text = self._decoder.decode(data)
        if not text:
            return
        if self._ends_with_cr:
            text = text.removeprefix("\n")
        self._ends_with_cr = text.endswith("\r")
        *lines, self._line = _LINE_END.split(self._line + text)
        for line in lines:
            yield from self._read(line)

    def _read(self, line: str) -> Iterator[Frame | Retry]:
        if not line:
            yield from self._finish()
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self.last_id = value
            case "retry" if value.isascii() and value.isdecimal():
                yield Retry(int(value) / 1000)
            case _:
                pass  # a comment, or a field of a later version

    def _finish(self) -> Iterator[Frame]:
        data, event = self._data, self._event or "message"
        self._data, self._event = [], ""
        if data:
            yield Frame(event, "\n".join(data), self.last_id)
