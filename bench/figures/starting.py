"""The start: the time until the app is imported, the host listens and has answered, and its memory then."""

import asyncio
import statistics
import sys
import time
from asyncio.subprocess import PIPE

from bench.client import AnswerError, connected
from bench.load_driver import Bench, open_session, run_turn
from bench.report import Figure
from bench.servers import ROOT, environment, host

_IMPORT = "import time; began = time.perf_counter(); import function_app; print(time.perf_counter() - began)"


async def measure(bench: Bench) -> list[Figure]:
    """Measure new processes, whose bytecode is compiled and in the system's cache."""
    imports = [await _import_seconds() for _ in range(bench.repeats(7, 3))]
    starts = [await _start_seconds(bench, number) for number in range(bench.repeats(7, 3))]
    figures = [
        Figure("import function_app", statistics.median(imports), "s", goal_max=0.8),
        Figure("start → listening, with its own model", statistics.median(starts), "s", goal_max=2),
    ]
    return [*figures, *await _first_requests(bench), *await _memory(bench)]


async def _import_seconds() -> float:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _IMPORT, stdout=PIPE, cwd=ROOT, env=environment("http://127.0.0.1:9/v1")
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise AnswerError("function_app could not be imported")
    return float(output)


async def _start_seconds(bench: Bench, number: int) -> float:
    async with host("", bench.scratch / f"starting-{number}") as server:
        return server.ready - server.started


async def _first_requests(bench: Bench) -> list[Figure]:
    """Measure the first requests of a process, sent as soon as it listens."""
    found = [await _first_request(bench, number) for number in range(bench.repeats(7, 3))]
    health, first_event, first_token = (statistics.median(each) for each in zip(*found, strict=True))
    return [
        Figure("first request of a process: GET /health", health, "ms"),
        Figure("first turn of a process: first event", first_event, "ms"),
        Figure("first turn of a process: first token", first_token, "ms", note="it imports the model's SDK"),
    ]


async def _first_request(bench: Bench, number: int) -> tuple[float, float, float]:
    async with (
        host(bench.model.url, bench.scratch / f"first-{number}") as server,
        connected(server.origin) as connection,
    ):
        began = time.perf_counter()
        await connection.ask("GET", "/health")
        health = 1000 * (time.perf_counter() - began)
        timing = await run_turn(connection, await open_session(connection))
    return health, timing.first_event, timing.first_token


async def _memory(bench: Bench) -> list[Figure]:
    async with host(bench.model.url, bench.scratch / "memory") as server, connected(server.origin) as connection:
        idle = server.memory_bytes()
        await run_turn(connection, await open_session(connection))
        warm = server.memory_bytes()
    if idle is None or warm is None:
        return []
    return [
        Figure("idle memory after the start", idle / 1024**2, "MB", goal_max=120),
        Figure("idle memory after one turn", warm / 1024**2, "MB", goal_max=120),
    ]
