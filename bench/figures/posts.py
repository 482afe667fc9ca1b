"""A rush: 2 000 messages within ten seconds to 500 sessions, for each of which the model takes half a second."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench.client import AnswerError, Connection, connected
from bench.load_driver import Bench, open_sessions, run_turn
from bench.report import Figure, summary
from bench.servers import host

_MODEL = "fake-10-50"
_SESSIONS, _POSTS, _SECONDS = 500, 4, 10.0
_QUICK_SESSIONS = 100
_READERS, _PAUSE_SECONDS = 4, 0.5


@dataclass
class _Rush:
    """What was answered to the posts, what became of the turns, and the waits of posters, in milliseconds."""

    began: float = 0
    waits: list[float] = field(default_factory=list[float])
    answers: Counter[str] = field(default_factory=Counter[str])
    ends: Counter[str] = field(default_factory=Counter[str])
    out_of_order: int = 0
    handovers: int = 0
    last_end: float = 0


async def measure(bench: Bench) -> list[Figure]:
    """Post at a steady pace, also if the host does not keep up: a wait counts from the time at which a post is due.

    Raises:
        AnswerError: a post was refused without a time to retry.
    """
    count = bench.repeats(_SESSIONS, _QUICK_SESSIONS)
    async with host(bench.model.url, bench.scratch / "posts") as server:
        async with connected(server.origin) as connection:
            await run_turn(connection, (await open_sessions(connection, 1))[0])
            sessions = await open_sessions(connection, count)
        rush = _Rush(began=time.time())
        async with asyncio.TaskGroup() as group:
            for number, session_id in enumerate(sessions):
                group.create_task(_post_all(server.origin, session_id, number / count, rush))
        waiting = iter(sessions)
        async with asyncio.TaskGroup() as group:
            for _ in range(_READERS):
                group.create_task(_read_ends(server.origin, waiting, rush))
    return _figures(rush)


async def _post_all(url: str, session_id: str, offset: float, rush: _Rush) -> None:
    """Post the messages of one session, one after the other, at even intervals."""
    interval = _SECONDS / _POSTS
    async with connected(url) as connection:
        for number in range(_POSTS):
            due = rush.began + interval * (number + offset)
            await asyncio.sleep(max(0, due - time.time()))
            rush.answers[await _post(connection, session_id, number)] += 1
            rush.waits.append(1000 * (time.time() - due))


async def _post(connection: Connection, session_id: str, number: int) -> str:
    """Return how the post was answered; a refusal that names a time to retry is repeated after that time."""
    body, prefer = {"content": str(number), "model": _MODEL}, {"prefer": "respond-async"}
    refused = False
    while True:
        connection.send("POST", f"/sessions/{session_id}/messages", body, prefer)
        status = await connection.status()
        content = b"".join([piece async for piece in connection.pieces()])
        if status == 202:
            return "accepted later" if refused else "accepted"
        if status not in {429, 503} or "retry-after" not in connection.headers:
            raise AnswerError(f"a post was refused: {status}: {content[:500].decode()}")
        refused = True
        await asyncio.sleep(float(connection.headers["retry-after"]))


async def _read_ends(url: str, sessions: Iterator[str], rush: _Rush) -> None:
    """Wait until every turn of the sessions has ended, and note their ends."""
    async with connected(url) as connection:
        for session_id in sessions:
            while _ended(events := await _run_events(connection, session_id)) < _POSTS:  # noqa: ASYNC110
                await asyncio.sleep(_PAUSE_SECONDS)
            _note(events, rush)


async def _run_events(connection: Connection, session_id: str) -> list[dict[str, Any]]:
    path = f"/sessions/{session_id}/events?limit=1000&types=user_message,run.*"
    return (await connection.ask("GET", path))["events"]


def _ended(events: Sequence[dict[str, Any]]) -> int:
    return sum(event["type"] == "run.complete" for event in events)


def _note(events: Sequence[dict[str, Any]], rush: _Rush) -> None:
    """Note the turns of a session. In order, each message follows the end of the turn before it."""
    rush.ends.update(event["data"]["status"] for event in events if event["type"] == "run.complete")
    rush.handovers += sum(event["type"] == "run.handover" for event in events)
    rush.last_end = max(rush.last_end, datetime.fromisoformat(events[-1]["timestamp"]).timestamp())
    order = [
        event["data"].get("content", "end") for event in events if event["type"] in {"user_message", "run.complete"}
    ]
    if order != [each for number in range(_POSTS) for each in (str(number), "end")]:
        rush.out_of_order += 1


def _figures(rush: _Rush) -> list[Figure]:
    posts = len(rush.waits)
    name = f"{posts} posts in {_SECONDS:.0f} s"
    ends = ", ".join(f"{count} turns {status}" for status, count in sorted(rush.ends.items()))
    return [
        Figure(
            f"{name}: accepted", rush.answers["accepted"], "", note=f"{rush.answers['accepted later']} after a refusal"
        ),
        summary(f"{name}: a poster waits", rush.waits, "ms"),
        Figure(f"{name}: completed", rush.ends["completed"], "turns", goal_min=posts, note=ends),
        Figure(f"{name}: sessions out of order", rush.out_of_order, "", goal_max=0),
        Figure(f"{name}: handed to another instance", rush.handovers, "turns"),
        Figure(f"{name}: first post → end of the last turn", rush.last_end - rush.began, "s"),
    ]
