"""The local host, dying at named points: `python -m tests.faults.killing_host`, with the arguments of `local.host`.

The file `DEATHS` is read whenever a point is reached: each of its lines, `<point> <nth>`, is a death at the nth time
that the point is reached from then on, and is taken out of the file by who dies it. An agent `clerk` is added, with a
tool that may be repeated and one that may not; both write a line to the file `NOTES` each time they run.

Points: `before`, `torn` (in the transaction) and `after`, each with `append <event type>`; `before` and `after`, each
with `start` (of a turn's instance) and `episode` (its commit by the engine); `in model` (at a chunk of an answer);
`in tool`.
"""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local.durable.taskhub import Change, TaskHub
from local.host import entry as host
from shared.agents.declaration import Agent
from shared.agents.registry import AGENTS
from shared.agents.tools import tool
from shared.domain.chunks import (
    Chunk,
)
from shared.domain.documents import AnyDocument
from shared.domain.session import SessionState
from shared.models.assembly import Assembly
from shared.scheduler import DurableTurnScheduler
from shared.stores.sqlite import log as sqlite_log
from shared.stores.sqlite.log import SqliteSessionLog


class Fate:
    """Which death is next."""

    def __init__(self, deaths: Path) -> None:
        self._deaths = deaths
        self._next = ""
        self._reached = 0

    def meet(self, *points: str) -> None:
        """Die if this is the time and one of `points` the place."""
        lines = self._deaths.read_text().splitlines()
        if not lines:
            self._next = ""
            return
        if lines[0] != self._next:
            self._next, self._reached = lines[0], 0
        point, _, nth = self._next.rpartition(" ")
        self._reached += point in points
        if point in points and self._reached == int(nth):
            self._deaths.write_text("".join(f"{line}\n" for line in lines[1:]))
            os.kill(os.getpid(), signal.SIGKILL)


fate = Fate(Path(os.environ["DEATHS"]))
notes = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _points(when: str, chunk: Chunk) -> list[str]:
    return [f"{when} append {kind}" for kind in chunk.types]


def _deadly_log() -> None:
    append, insert_chunk = SqliteSessionLog.append, sqlite_log.insert_chunk

    async def deadly_append(
        self: SqliteSessionLog,
        chunk: Chunk,
        checkpoint: SessionState | None = None,
        documents: Sequence[AnyDocument] = (),
    ) -> None:
        fate.meet(*_points("before", chunk))
        await append(self, chunk, checkpoint, documents)
        fate.meet(*_points("after", chunk))

    def deadly_insert(connection: sqlite3.Connection, chunk: Chunk) -> bool:
        inserted = insert_chunk(connection, chunk)
        fate.meet(*_points("torn", chunk))
        return inserted

    SqliteSessionLog.append = deadly_append
    sqlite_log.insert_chunk = deadly_insert


def _deadly_engine() -> None:
    start, write = DurableTurnScheduler.start, TaskHub.write

    async def deadly_start(self: DurableTurnScheduler, state: SessionState) -> None:
        fate.meet("before start")
        await start(self, state)
        fate.meet("after start")

    async def deadly_write(self: TaskHub, change: Change) -> None:
        fate.meet("before episode")
        await write(self, change)
        fate.meet("after episode")

    DurableTurnScheduler.start = deadly_start
    TaskHub.write = deadly_write


def _deadly_model() -> None:
    add = Assembly.add

    def deadly_add(self: Assembly, chunk: Any) -> str:
        fate.meet("in model")
        return add(self, chunk)

    Assembly.add = deadly_add


async def note(text: str) -> str:
    """Write a note; the same one may be written again."""
    return await _written(text)


async def stamp(text: str) -> str:
    """Write a note that must not be written twice."""
    return await _written(text)


async def _written(text: str) -> str:
    os.write(notes, f"{text}\n".encode())
    fate.meet("in tool")
    await asyncio.sleep(0.01)
    return f"wrote {text}"


if __name__ == "__main__":
    _deadly_log()
    _deadly_engine()
    _deadly_model()
    tools = (tool(note, idempotent=True), tool(stamp))
    AGENTS["clerk"] = Agent("clerk", "Writes notes.", "You write notes.", tools)
    host.main()
