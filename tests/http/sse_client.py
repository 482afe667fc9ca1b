"""Server-sent events as a client sees them: frames, and a stream of them that is being read."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx2

JSON = dict[str, Any]


@dataclass
class Frame:
    """One server-sent event. `text` is its `data` as sent, `cursor` its id, which is a sequence in a session's log."""

    id: int | None = None
    event: str | None = None
    text: str = ""
    cursor: str = field(default="", compare=False)

    @property
    def data(self) -> JSON:
        return json.loads(self.text)


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncGenerator[str]:
    """Lines as SSE has them: `aiter_lines` also ends one at other characters that Unicode takes for line ends."""
    kept = b""
    async for piece in pieces:
        *whole, kept = (kept + piece).split(b"\n")
        for line in whole:
            yield line.decode()


async def frames_of(lines: AsyncIterator[str]) -> AsyncGenerator[Frame]:
    """The frames of an SSE response that carry data; comments and `retry` say nothing of the session."""
    frame = Frame()
    async for line in lines:
        name, _, value = line.partition(": ")
        match name:
            case "id":
                frame.cursor = value
                frame.id = int(value) if value.isdigit() else None
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
    """An open stream: its response, and its frames as they come. `seen` keeps those that were taken."""

    response: httpx2.Response
    seen: list[Frame] = field(default_factory=list[Frame])
    _frames: AsyncGenerator[Frame] | None = None

    async def __aiter__(self) -> AsyncIterator[Frame]:
        if self._frames is None:
            self._frames = frames_of(_lines(self.response.aiter_bytes()))
        async for frame in self._frames:
            self.seen.append(frame)
            yield frame

    async def until(self, event: str, times: int = 1) -> Frame:
        """Take frames up to the `times`-th one from here with this name."""
        async for frame in self:
            times -= frame.event == event
            if not times:
                return frame
        raise AssertionError(f"the stream ended without {event!r}: {names(self.seen)}")

    async def rest(self) -> list[Frame]:
        """Take all frames to the stream's end; returns every one that was ever taken."""
        async for _ in self:
            pass
        return self.seen

    async def close(self) -> None:
        """Go away in mid-stream."""
        await self.response.aclose()


def names(frames: Iterable[Frame]) -> list[str | None]:
    return [frame.event for frame in frames]


def ids(frames: Iterable[Frame]) -> list[int | None]:
    """The sequences of frames, those of `done` left out."""
    return [frame.id for frame in frames if frame.event != "done"]


def written(frames: Iterable[Frame]) -> str:
    """The text of the newest turn's last step, as a reader shows it who begins afresh at `message.start`."""
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
