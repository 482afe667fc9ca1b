"""The processor time of a plain turn, by part of the app: the host's main thread is sampled while turns run."""

import asyncio
import json
import signal
import sys

from bench.client import connected
from bench.load_driver import Bench, open_sessions, run_at_once, run_turn
from bench.report import Figure
from bench.sampled_host import PARTS
from bench.servers import host

_AT_ONCE = 10


async def measure(bench: Bench) -> list[Figure]:
    """Run turns of 50 tokens on a host that is sampled."""
    if sys.platform == "win32":  # it has no timer of processor time
        return []
    count, samples = bench.repeats(600, 200), bench.scratch / "samples.json"
    async with (
        host(bench.model.url, bench.scratch / "parts", samples) as server,
        connected(server.origin) as connection,
    ):
        sessions = await open_sessions(connection, 2 * count)
        await run_at_once(server.origin, _AT_ONCE, sessions[:count], run_turn)
        server.process.send_signal(signal.SIGUSR1)
        await run_at_once(server.origin, _AT_ONCE, sessions[count:], run_turn)
        server.process.send_signal(signal.SIGUSR2)
        async with asyncio.timeout(10):
            while not samples.exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)
    seconds: dict[str, float] = json.loads(samples.read_text())
    names = sorted({*PARTS, *seconds}, key=lambda name: -seconds.get(name, 0.0))
    return [Figure(f"turn of 50 tokens: {name}", 1000 * seconds.get(name, 0.0) / count, "ms of CPU") for name in names]
