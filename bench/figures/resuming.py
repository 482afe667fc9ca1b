"""Reconnecting to a running turn: how soon the first missed frame arrives."""

import asyncio
import time

from bench.client import connected
from bench.load_driver import Bench, next_frame, open_session, start_turn
from bench.report import Figure, summary

_MODEL = "fake-2000-10"
_AWAY_SECONDS = 0.1


async def measure(bench: Bench) -> list[Figure]:
    """Close a stream in mid-turn, wait a moment, reconnect with `Last-Event-ID`, many times."""
    taken: list[float] = []
    async with connected(bench.host.origin) as host:
        session_id = await open_session(host)
        await start_turn(host, session_id, _MODEL)
        last = 0
        for _ in range(bench.repeats(60, 25)):
            began = time.perf_counter()
            last = await _first_missed(bench.host.origin, session_id, last)
            taken.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(_AWAY_SECONDS)
        await host.ask("POST", f"/sessions/{session_id}/cancel", {}, expect=202)
    return [summary("resuming in mid-turn: first frame", taken[1:], "ms")]


async def _first_missed(url: str, session_id: str, last: int) -> int:
    async with connected(url) as stream:
        await stream.begin_stream("GET", f"/sessions/{session_id}/stream", headers={"last-event-id": str(last)})
        return (await next_frame(stream, lambda _: True)).id
