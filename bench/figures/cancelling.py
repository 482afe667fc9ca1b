"""A cancel: how soon the connection to the model is closed, which stops the billing."""

import asyncio
import time

from bench.client import connected
from bench.load_driver import Bench, next_frame, open_session, start_turn
from bench.report import Figure, summary

_MODEL = "fake-2000-20"


async def measure(bench: Bench) -> list[Figure]:
    """Measure from the cancel request to the time at which the model server saw the connection close."""
    taken = [await _cancel(bench) for _ in range(bench.repeats(40, 20))]
    return [summary("cancel → model connection closed", taken, "ms", goal_max=9)]


async def _cancel(bench: Bench) -> float:
    async with connected(bench.host.origin) as host, connected(bench.model.origin) as model:
        session_id = await open_session(host)
        await start_turn(host, session_id, _MODEL)
        async with connected(bench.host.origin) as stream:
            await stream.begin_stream("GET", f"/sessions/{session_id}/stream")
            await next_frame(stream, lambda frame: frame.event == "message.delta")
        await asyncio.sleep(0.05)
        began = time.time()
        await host.ask("POST", f"/sessions/{session_id}/cancel", {}, expect=202)
        async with asyncio.timeout(10):
            while ((await model.ask("GET", "/stats"))["last_abort_at"] or 0) < began:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return 1000 * ((await model.ask("GET", "/stats"))["last_abort_at"] - began)
