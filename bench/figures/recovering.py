"""After `kill -9`: how soon the interrupted turn continues."""

import asyncio
import statistics
import time
from pathlib import Path

from bench.client import connected
from bench.load_driver import Bench, attempt_of, next_frame, open_session, start_turn
from bench.report import Figure
from bench.servers import host

_MODEL = "fake-1000-20"


async def measure(bench: Bench) -> list[Figure]:
    """Kill the host in the middle of an answer, start it again, and wait for the turn's next event."""
    trials = [await _trial(bench, bench.scratch / f"recovering-{number}") for number in range(bench.repeats(5, 2))]
    starting = statistics.median(start for start, _ in trials)
    taken = statistics.median(total for _, total in trials)
    note = f"of these {starting:.2f} s to start the process"
    return [Figure("kill -9 and restart → the turn continues", taken, "s", goal_max=2, note=note)]


async def _trial(bench: Bench, data_dir: Path) -> tuple[float, float]:
    async with host(bench.model.url, data_dir) as first, connected(first.origin) as connection:
        session_id = await open_session(connection)
        await start_turn(connection, session_id, _MODEL)
        async with connected(first.origin) as stream:
            await stream.begin_stream("GET", f"/sessions/{session_id}/stream")
            await next_frame(stream, lambda frame: frame.event == "message.delta")
            await asyncio.sleep(0.3)
        first.kill()
        await first.process.wait()
    async with host(bench.model.url, data_dir) as second, connected(second.origin) as stream:
        await stream.begin_stream("GET", f"/sessions/{session_id}/stream")
        # The events from before the kill come first; the turn continues when its next attempt begins.
        await next_frame(stream, lambda frame: frame.event == "message.start" and attempt_of(frame) > 1)
        return second.ready - second.started, time.perf_counter() - second.started
