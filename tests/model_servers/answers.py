"""Ways to answer a request: as a stream of frames, as one body, by the number of the call, by what was sent."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from tests.model_servers.demands import Demand
from tests.model_servers.objects import calls, ending, error, text
from tests.model_servers.server import Answer, Exchange, Framing, Head, Json

GO_ON = "go on"
"""The message of a session's second turn."""

Frame: TypeAlias = Json | list[Any] | str | bytes | float
"""Objects, lists and texts become `data` lines, bytes are sent as they are, a number is a pause in seconds."""

_HOLD_SECONDS = 60.0


@dataclass(frozen=True)
class Stream:
    """An event stream.

    Attributes:
        end: `whole` ends the body as its head says, `hang_up` and `reset` break the connection, `hold` leaves it open.
        packet_bytes: the size of the packets that the stream is cut into; each frame is a packet where it is 0.
        encode: what is done to the bytes, a compression for example.
    """

    frames: Sequence[Frame]
    end: Literal["whole", "hang_up", "reset", "hold"] = "whole"
    framing: Framing = "chunked"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    http: str = "HTTP/1.1"
    before_data: str = "data: "
    after_data: str = "\n\n"
    ascii: bool = False
    packet_bytes: int = 0
    encode: Callable[[bytes], bytes] = bytes

    async def __call__(self, exchange: Exchange) -> None:
        packets = self.packets()
        headers = {"content-type": "text/event-stream", **self.headers}
        length = sum(len(packet) for packet in packets if isinstance(packet, bytes))
        await exchange.start(Head(200, self.framing, headers, self.http), length)
        for packet in packets:
            await (exchange.write(packet) if isinstance(packet, bytes) else asyncio.sleep(packet))
        await self._finish(exchange)

    def packets(self) -> list[bytes | float]:
        """Return the bytes of each packet of the body, and the pauses between them."""
        packets = [self._encoded(frame) for frame in self.frames]
        if self.packet_bytes == 0 and self.encode is bytes:
            return packets
        data = self.encode(b"".join(packet for packet in packets if isinstance(packet, bytes)))
        size = self.packet_bytes or len(data)
        return [data[start : start + size] for start in range(0, len(data), size)]

    def _encoded(self, frame: Frame) -> bytes | float:
        if isinstance(frame, bytes | float):
            return frame
        data = frame if isinstance(frame, str) else json.dumps(frame, ensure_ascii=self.ascii)
        return f"{self.before_data}{data}{self.after_data}".encode()

    async def _finish(self, exchange: Exchange) -> None:
        match self.end:
            case "whole":
                await exchange.end()
            case "hang_up":
                exchange.hang_up()
            case "reset":
                await asyncio.sleep(0.5)  # a reset also drops what its reader has not read yet
                exchange.reset()
            case "hold":
                await asyncio.sleep(_HOLD_SECONDS)


@dataclass(frozen=True)
class Body:
    """One body with a status: JSON, or a text as it is."""

    status: int
    value: Any
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content_type: str = "application/json"

    async def __call__(self, exchange: Exchange) -> None:
        data = (self.value if isinstance(self.value, str) else json.dumps(self.value)).encode()
        head = Head(self.status, "length", {"content-type": self.content_type, **self.headers})
        await exchange.start(head, len(data))
        await exchange.write(data)


def refused(message: str, code: Any = None) -> Body:
    """Return what OpenAI answers to a request that it cannot take."""
    return Body(400, error(message, code, type="invalid_request_error"))


def html(status: int, page: str) -> Body:
    return Body(status, page, content_type="text/html")


def stream(*frames: Frame, **fields: Any) -> Stream:
    return Stream(frames, **fields)


def answered(*pieces: str, **fields: Any) -> Stream:
    """Return a whole answer as OpenAI streams it."""
    return Stream([*text(*pieces), *ending()], **fields)


PLAIN = answered()
HELD_BACK = "The tools said: "


async def say_results(exchange: Exchange) -> None:
    """Answer with what the tools returned."""
    await answered(HELD_BACK + " | ".join(exchange.results))(exchange)


@dataclass(frozen=True)
class InOrder:
    """Answer each request in its own way; the last way serves all that follow."""

    answers: Sequence[Answer]

    async def __call__(self, exchange: Exchange) -> None:
        await self.answers[min(exchange.number, len(self.answers)) - 1](exchange)


def in_order(*answers: Answer) -> InOrder:
    return InOrder(answers)


@dataclass(frozen=True)
class Calling:
    """Call tools first; then say what they returned."""

    first: Answer

    async def __call__(self, exchange: Exchange) -> None:
        await (say_results(exchange) if exchange.results else self.first(exchange))


def calling(*frames: Frame, reason: str = "tool_calls", **fields: Any) -> Calling:
    """Return an answer that begins with `frames`, and ends as OpenAI ends it."""
    return Calling(Stream([*frames, *ending(reason)], **fields))


def calling_in_pieces(*deltas: Sequence[Any], reason: str = "tool_calls") -> Calling:
    """Return an answer of tool calls, one chunk for each list of fragments."""
    return calling(*(calls(*fragments) for fragments in deltas), reason=reason)


@dataclass(frozen=True)
class Demanding:
    """Refuse requests that a demand objects to. Otherwise call tools in the first turn; later only say something."""

    demand: Demand
    first: Answer
    refusal: Callable[[str], Answer] = refused

    async def __call__(self, exchange: Exchange) -> None:
        if (problem := self.demand(exchange.request.messages)) is not None:
            await self.refusal(problem)(exchange)
        elif exchange.entries_of_turn or exchange.prompt.endswith(GO_ON):
            await say_results(exchange)
        else:
            await self.first(exchange)
