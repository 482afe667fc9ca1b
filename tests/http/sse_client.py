"""A client of server-sent events: frames, and an open stream of them."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx2

JSON = dict[str, Any]

_KEY_OF_A_SESSION = re.compile(r"(?<!turn_)[0-9A-HJKMNP-TV-Z]{26}(~|%7E)")


def require_public(text: str) -> None:
    """Check that `text`, which a server sent, has no key of the store: a session's id that is bound to its owner."""
    may_have_one = "~" in text or "%7E" in text  # most texts have neither, and this is quicker
    assert not (may_have_one and _KEY_OF_A_SESSION.search(text)), text


@dataclass
class Frame:
    """One frame. `text` is its `data` as it was sent, `cursor` its id. Of a session's stream, `id` is the sequence."""

    id: int | None = None
    event: str | None = None
    text: str = ""
    cursor: str = field(default="", compare=False)
    incarnation: str = field(default="", compare=False)

    @property
    def data(self) -> JSON:
        return json.loads(self.text)


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncGenerator[str]:
    """The lines of a stream. httpx's `aiter_lines` is not used: it also ends lines at other line ends of Unicode."""
    rest_of_line = b""
    async for piece in pieces:
        *whole, rest_of_line = (rest_of_line + piece).split(b"\n")
        for line in whole:
            yield line.decode()


async def frames_of(lines: AsyncIterator[str]) -> AsyncGenerator[Frame]:
    """The frames with data. Comments and `retry` are skipped."""
    frame = Frame()
    async for line in lines:
        name, _, value = line.partition(": ")
        match name:
            case "id":
                frame.cursor = value
                position, _, frame.incarnation = value.partition("-")
                frame.id = int(position) if position.isdigit() else None
            case "event":
                frame.event = value
            case "data":
                frame.text = value
            case "" if frame.text:
                yield frame
                frame = Frame()
            case _:
                pass


@dataclass
class Stream:
    """An open stream: its response, and its frames as they come. `seen` holds the frames that were read."""

    response: httpx2.Response
    seen: list[Frame] = field(default_factory=list[Frame])
    _frames: AsyncGenerator[Frame] | None = None

    async def __aiter__(self) -> AsyncIterator[Frame]:
        if self._frames is None:
            self._frames = frames_of(_lines(self.response.aiter_bytes()))
        async for frame in self._frames:
            require_public(frame.text)
            self.seen.append(frame)
            yield frame

    async def until(self, event: str, times: int = 1) -> Frame:
        """Read up to the `times`-th frame with this name, from here; return it."""
        async for frame in self:
            times -= frame.event == event
            if not times:
                return frame
        raise AssertionError(f"the stream ended without {event!r}: {names(self.seen)}")

    async def read_to_end(self) -> list[Frame]:
        """Read to the end of the stream; return all frames since it was opened."""
        async for _ in self:
            pass
        return self.seen

    async def close(self) -> None:
        """Close the connection before the end of the stream."""
        await self.response.aclose()


def names(frames: Iterable[Frame]) -> list[str | None]:
    return [frame.event for frame in frames]


def ids(frames: Iterable[Frame]) -> list[int | None]:
    """The sequences of the frames, without that of `done`."""
    return [frame.id for frame in frames if frame.event != "done"]


def text_of(frames: Iterable[Frame]) -> str:
    """The text of the newest turn's last step. A reader shows it if it clears at each `message.start`."""
    text = ""
    for frame in frames:
        match frame.event:
            case "message.start":
                text = ""
            case "message.delta":
                text += frame.data["text"]
            case _:
                pass
    return text
