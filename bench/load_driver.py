"""Puts load on a server, for all figures: opens sessions, runs turns, asks the model server itself."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bench.client import EVENT_STREAM, AnswerError, Connection, Frame
from bench.servers import MODEL, Server

T = TypeVar("T")


@dataclass(frozen=True)
class Bench:
    """The servers that are measured. `quick` asks for fewer repetitions; `scratch` is a folder that is removed."""

    model: Server
    host: Server
    scratch: Path
    quick: bool

    def repeats(self, full: int, quick: int) -> int:
        """Return how often to repeat."""
        return quick if self.quick else full


class Timing(NamedTuple):
    """The times of an answer's first event, first token and end, in milliseconds from the request."""

    first_event: float
    first_token: float
    total: float


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the loop of the driver: the fastest that is installed."""
    try:
        import uvloop  # noqa: PLC0415 - it does not exist for Windows
    except ImportError:
        return None
    return uvloop.new_event_loop


async def open_session(connection: Connection) -> str:
    """Open a session and return its id."""
    return (await connection.ask("POST", "/sessions", {}, expect=201))["session_id"]


async def open_sessions(connection: Connection, count: int) -> list[str]:
    return [await open_session(connection) for _ in range(count)]


async def run_turn(
    connection: Connection, session_id: str, model: str = MODEL, content: str = "Tell me something short."
) -> Timing:
    """Post a message and read its stream to the end.

    Raises:
        AnswerError: the turn did not complete.
    """
    body = {"content": content, "model": model}
    path = f"/sessions/{session_id}/messages"
    began = time.perf_counter()
    await connection.begin_stream("POST", path, body, EVENT_STREAM)
    timing, last = await time_answer(connection, began, b"id: ", b"event: message.delta\n")
    if b'"status":"completed"' not in last or b"event: done\n" not in last:
        raise AnswerError(f"the turn in {session_id} did not complete: {last[-500:].decode()}")
    return timing


async def ask_model(connection: Connection, model: str = MODEL) -> Timing:
    """Ask the model server itself for the answer that it gives to a turn."""
    prompt = [{"role": "user", "content": "Tell me something short."}]
    options = {"stream": True, "stream_options": {"include_usage": True}}
    began = time.perf_counter()
    await connection.begin_stream("POST", "/v1/chat/completions", {"model": model, "messages": prompt, **options})
    timing, last = await time_answer(connection, began, b"data: ", b'"content"')
    if b"[DONE]" not in last:
        raise AnswerError(f"the model's answer broke off: {last[-500:].decode()}")
    return timing


async def time_answer(connection: Connection, began: float, event: bytes, token: bytes) -> tuple[Timing, bytes]:
    """Read an answer; return its timing and its last two pieces."""
    first_event = first_token = 0.0
    last = before = b""
    async for piece in connection.pieces():
        now = time.perf_counter()
        first_event = first_event or (now if event in piece else 0.0)
        first_token = first_token or (now if token in piece else 0.0)
        before, last = last, piece
    ends = (first_event, first_token, time.perf_counter())
    return Timing(*(1000 * (end - began) for end in ends)), before + last


async def start_turn(
    connection: Connection, session_id: str, model: str, content: str = "Tell me something long."
) -> str:
    """Start a turn without waiting for it; return its id."""
    body, prefer = {"content": content, "model": model}, {"prefer": "respond-async"}
    return (await connection.ask("POST", f"/sessions/{session_id}/messages", body, prefer, expect=202))["turn_id"]


async def append_events(connection: Connection, session_id: str, count: int) -> None:
    """Append `count` events of an outside producer, 100 at a time."""
    event: dict[str, Any] = {
        "event_type": "sensor.reading",
        "value": 21.5,
        "unit": "C",
        "note": "a line of some length",
    }
    for _ in range(count // 100):
        await connection.ask("POST", f"/sessions/{session_id}/events", [event] * 100, expect=201)


async def next_frame(connection: Connection, condition: Callable[[Frame], bool]) -> Frame:
    """Read a stream up to the first frame with `condition`; after that the connection can only be closed.

    Raises:
        AnswerError: the stream ended before it.
    """
    async for frame in connection.frames():
        if condition(frame):
            return frame
    raise AnswerError("the stream ended before the expected frame")


def attempt_of(frame: Frame) -> int:
    """Return the attempt of a step to which a frame belongs."""
    return int(json.loads(frame.data).get("attempt", 0))


async def run_at_once(
    url: str, clients: int, jobs: Sequence[T], work: Callable[[Connection, T], Awaitable[Any]]
) -> float:
    """Do `jobs` with `clients` at once, each on its own connection; return the number of jobs done per second."""
    waiting = list(jobs)
    connections = [await Connection.open(url) for _ in range(clients)]

    async def client(connection: Connection) -> None:
        while waiting:
            await work(connection, waiting.pop())

    began = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(client(connection))
    finally:
        for connection in connections:
            connection.close()
    return len(jobs) / (time.perf_counter() - began)
