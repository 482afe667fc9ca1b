"""Long turns at once, each watched: the wait for the first text, the worst gap in it, and the processor time of one."""

import asyncio
import statistics
import time
from typing import NamedTuple

from bench.client import EVENT_STREAM, AnswerError, Connection, connected
from bench.load_driver import Bench, open_sessions, run_turn
from bench.report import Figure
from bench.servers import Server, host

_MODEL, _MODEL_SECONDS = "fake-200-50", 10.0
_NUMBERS = (50, 100, 200, 400)
_QUICK = (50, 200)


class Watched(NamedTuple):
    first_text: float
    worst_gap: float
    total: float


async def measure(bench: Bench) -> list[Figure]:
    """Measure each number of turns on a new host, whose every turn is as long as its model's answer."""
    figures: list[Figure] = []
    for number in _QUICK if bench.quick else _NUMBERS:
        async with (
            host(bench.model.url, bench.scratch / f"at-once-{number}") as server,
            connected(server.origin) as connection,
        ):
            await run_turn(connection, (await open_sessions(connection, 1))[0])
            figures += await _figures(server, connection, number)
    return figures


async def _figures(server: Server, connection: Connection, number: int) -> list[Figure]:
    sessions = await open_sessions(connection, number)
    before = server.cpu_seconds()
    async with asyncio.TaskGroup() as group:
        turns = [group.create_task(watch_turn(server.origin, session)) for session in sessions]
    after = server.cpu_seconds()
    watched = [turn.result() for turn in turns]
    name = f"{number} turns of 200 tokens, 20/s, at once"
    gap = max(each.worst_gap for each in watched)
    figures = [
        Figure(f"{name}: first text", 1000 * statistics.median(each.first_text for each in watched), "ms"),
        Figure(f"{name}: worst gap between two texts", gap, "s", goal_max=1 if number <= 200 else None),
        Figure(f"{name}: total", statistics.median(each.total for each in watched) / _MODEL_SECONDS, "times the model"),
    ]
    if before is not None and after is not None:
        figures.append(Figure(f"{name}: host's processor time each", 1000 * (after - before) / number, "ms"))
    return figures


async def watch_turn(url: str, session_id: str) -> Watched:
    """Run a turn of 200 tokens, of which the model writes 20 in a second, and time its texts, in seconds."""
    async with connected(url) as connection:
        began = last = time.perf_counter()
        first = gap = 0.0
        ended = False
        body = {"content": "Tell me something.", "model": _MODEL}
        await connection.begin_stream("POST", f"/sessions/{session_id}/messages", body, EVENT_STREAM)
        async for piece in connection.pieces():
            ended = ended or b"event: done\n" in piece
            if b"event: message.delta\n" in piece:
                now = time.perf_counter()
                gap = max(gap, now - last) if first else 0.0
                first, last = first or now - began, now
        if not ended:
            raise AnswerError(f"the turn in {session_id} ended without `done`")
        return Watched(first, gap, time.perf_counter() - began)
