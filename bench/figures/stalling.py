"""Watchers that never read: how much memory each of them takes, on a session with large events."""

import asyncio
import statistics

from bench.client import Connection, connected
from bench.load_driver import Bench, open_session
from bench.report import Figure
from bench.servers import Server, host

_WATCHERS = 30
_CHUNKS, _EVENTS, _EVENT_BYTES = 30, 15, 60_000  # requests, events in each, their sizes: nearly the maximum of a body
_SETTLING_SECONDS = 3


async def measure(bench: Bench) -> list[Figure]:
    trials = [await _trial(bench, number) for number in range(bench.repeats(3, 1))]
    memory = [each for each in trials if each is not None]
    if not memory:
        return []
    size = _CHUNKS * _EVENTS * _EVENT_BYTES // 1_000_000
    name = f"{_WATCHERS} watchers that never read {size} MB of events: memory each"
    return [Figure(name, statistics.median(memory), "KB", goal_max=1000)]


async def _trial(bench: Bench, number: int) -> float | None:
    async with (
        host(bench.model.url, bench.scratch / f"stalling-{number}") as server,
        connected(server.origin) as connection,
    ):
        session_id = await open_session(connection)
        events = [{"event_type": "note", "text": "x" * _EVENT_BYTES} for _ in range(_EVENTS)]
        for _ in range(_CHUNKS):
            await connection.ask("POST", f"/sessions/{session_id}/events", events, expect=201)
        return await _stalled(server, session_id)


async def _stalled(server: Server, session_id: str) -> float | None:
    before = server.memory_bytes()
    watchers = [await Connection.open(server.origin) for _ in range(_WATCHERS)]
    try:
        for watcher in watchers:
            await watcher.begin_stream("GET", f"/sessions/{session_id}/stream?after=0")
        await asyncio.sleep(_SETTLING_SECONDS)
        during = server.memory_bytes()
    finally:
        for watcher in watchers:
            watcher.close()
    return None if before is None or during is None else (during - before) / 1024 / _WATCHERS
