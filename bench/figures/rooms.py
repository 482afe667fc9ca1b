"""A project's room: fifty active sessions, fifty watchers, every event to each."""

import asyncio
import time

from bench.client import AnswerError, Connection, connected
from bench.load_driver import Bench, run_at_once, run_turn
from bench.report import Figure

_SESSIONS = _WATCHERS = 50


async def measure(bench: Bench) -> list[Figure]:
    """Run turns in all sessions at once; measure until the last watcher has received the end of the last turn."""
    async with connected(bench.host.origin) as host:
        project = (await host.ask("POST", "/projects", {"name": "bench"}, expect=201))["id"]
        nodes = [{"node_id": f"node{number}", "agent_name": "assistant"} for number in range(_SESSIONS)]
        path = f"/projects/{project}"
        sessions = [(await host.ask("POST", f"{path}/sessions", node, expect=201))["session_id"] for node in nodes]
    alone = await run_at_once(bench.host.origin, _SESSIONS, sessions, run_turn)
    watchers = [await Connection.open(bench.host.origin) for _ in range(_WATCHERS)]
    try:
        for watcher in watchers:
            await watcher.begin_stream("GET", f"{path}/stream")
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            ends = [group.create_task(_end(watcher, set(sessions))) for watcher in watchers]
            group.create_task(run_at_once(bench.host.origin, _SESSIONS, sessions, run_turn))
    finally:
        for watcher in watchers:
            watcher.close()
    seconds = max(end.result() for end in ends) - began
    title = f"{_WATCHERS} watchers of a room of {_SESSIONS} turns at once: all events received"
    return [Figure(title, seconds, "s", note=f"the same turns unwatched: {_SESSIONS / alone:.2f} s")]


async def _end(watcher: Connection, sessions: set[str]) -> float:
    """Return when the watcher received the last turn's end; each session's end comes once."""
    async for piece in watcher.pieces():
        for frame in piece.split(b"\n\n"):
            if b"event: run.complete\n" in frame:
                sessions.remove(frame.partition(b'"session_id":"')[2].partition(b'"')[0].decode())
        if not sessions:
            return time.perf_counter()
    raise AnswerError("a room's stream ended before every turn had")
