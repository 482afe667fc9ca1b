"""Long sessions: replaying one, reading pages of it, running turns in it."""

import statistics
import time

from bench.client import AnswerError, Connection, connected
from bench.load_driver import Bench, append_events, open_session, run_turn
from bench.report import Figure, summary

_LONG_SESSION = 10_000
_WARM_UP = 5


async def measure(bench: Bench) -> list[Figure]:
    """Measure on a history of events of an outside producer, a hundred in each append."""
    events = bench.repeats(100_000, 20_000)
    async with connected(bench.host.origin) as connection:
        session_id = await open_session(connection)
        await append_events(connection, session_id, events)
        stop = {"event_type": "session_stop"}
        await connection.ask("POST", f"/sessions/{session_id}/events", stop, expect=201)
        return [
            await _catch_up(bench, session_id, events),
            *[await _page(connection, session_id, events, part) for part in ("start", "middle", "end")],
            await _turns(bench, connection),
        ]


async def _catch_up(bench: Bench, session_id: str, events: int) -> Figure:
    speeds: list[float] = []
    for _ in range(3):
        async with connected(bench.host.origin) as connection:
            began, seen = time.perf_counter(), 0
            await connection.begin_stream("GET", f"/sessions/{session_id}/stream")
            async for piece in connection.pieces():
                seen += piece.count(b"id: ")
            speeds.append(seen / (time.perf_counter() - began))
            if not events <= seen <= events + 3:  # also: it was created, it stopped, `done`
                raise AnswerError(f"the stream has {seen} events instead of {events}")
    return Figure(
        f"catching up with {events:,} events".replace(",", " "), statistics.median(speeds), "events/s", goal_min=20_000
    )


async def _page(connection: Connection, session_id: str, events: int, part: str) -> Figure:
    after = {"start": 0, "middle": events // 2, "end": events - 100}[part]
    taken: list[float] = []
    for _ in range(25):
        began = time.perf_counter()
        page = await connection.ask("GET", f"/sessions/{session_id}/events?limit=100&after={after}")
        taken.append(1000 * (time.perf_counter() - began))
        if len(page["events"]) != 100:
            raise AnswerError(f"the page has {len(page['events'])} events instead of 100")
    name = f"page of 100 events at the {part} of {events:,}".replace(",", " ")
    return summary(name, taken, "ms", goal_max=20)


async def _turns(bench: Bench, connection: Connection) -> Figure:
    """Run turns in both sessions alternately, so that their conversations are equally long."""
    long, new = await open_session(connection), await open_session(connection)
    await append_events(connection, long, _LONG_SESSION)
    in_long: list[float] = []
    in_new: list[float] = []
    for _ in range(_WARM_UP + bench.repeats(40, 20)):
        in_long.append((await run_turn(connection, long)).total)
        in_new.append((await run_turn(connection, new)).total)
    ratio = statistics.median(in_long[_WARM_UP:]) / statistics.median(in_new[_WARM_UP:])
    return Figure("turn in a session of 10 000 events / in a new one", ratio, "", goal_max=1.2)
