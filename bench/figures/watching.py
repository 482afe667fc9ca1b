"""Many watchers of one turn: when the last one has received its end, and how much memory each takes."""

import asyncio
import statistics
import time
from typing import NamedTuple

from bench.client import AnswerError, Connection, connected
from bench.load_driver import Bench, ask_model, open_session, run_turn
from bench.report import Figure
from bench.servers import Server, host

_WATCHERS = 300
_MODEL, _MODEL_SECONDS = "fake-100-50", 5


class _Trial(NamedTuple):
    seconds: float
    alone: float
    memory: float | None


async def measure(bench: Bench) -> list[Figure]:
    """Measure each time on a new host: memory that earlier watchers left would hide the memory of these."""
    trials = [await _trial(bench, number) for number in range(bench.repeats(3, 1))]
    seconds = statistics.median(trial.seconds for trial in trials)
    note = f"the model server alone: {statistics.median(trial.alone for trial in trials):.2f} s"
    memory = [trial.memory for trial in trials if trial.memory is not None]
    name = f"{_WATCHERS} watchers of a turn of {_MODEL_SECONDS} s"
    figures = [Figure(f"{name}: all done", seconds, "s", goal_max=5.5, note=note)]
    if memory:
        figures.append(Figure(f"{name}: memory each", statistics.median(memory), "KB", goal_max=100))
    return figures


async def _trial(bench: Bench, number: int) -> _Trial:
    async with (
        host(bench.model.url, bench.scratch / f"watching-{number}") as server,
        connected(server.origin) as connection,
        connected(bench.model.origin) as model,
    ):
        await run_turn(connection, await open_session(connection))
        return await _watched(server, connection, model)


async def _watched(server: Server, connection: Connection, model: Connection) -> _Trial:
    session_id = await open_session(connection)
    before = server.memory_bytes()
    watchers = [await Connection.open(server.origin) for _ in range(_WATCHERS)]
    try:
        for watcher in watchers:
            await watcher.begin_stream("GET", f"/sessions/{session_id}/stream")
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            ends = [group.create_task(_end(watcher)) for watcher in watchers]
            alone = group.create_task(ask_model(model, _MODEL))
            group.create_task(run_turn(connection, session_id, _MODEL))
            await asyncio.sleep(_MODEL_SECONDS / 2)
            during = server.memory_bytes()
    finally:
        for watcher in watchers:
            watcher.close()
    each = None if before is None or during is None else (during - before) / 1024 / _WATCHERS
    return _Trial(max(end.result() for end in ends) - began, alone.result().total / 1000, each)


async def _end(watcher: Connection) -> float:
    async for piece in watcher.pieces():
        if b"event: done\n" in piece:
            return time.perf_counter()
    raise AnswerError("a watcher's stream ended without `done`")
