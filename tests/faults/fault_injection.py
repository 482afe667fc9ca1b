"""The local host, killed at named points.

`python -m tests.faults.fault_injection` takes the arguments of `turnlog.local.host`.

The file `DEATHS` is read whenever a point is reached. Each of its lines, `<point> <nth>`, kills the process at the nth
time that the point is reached from then on; the process removes the line first. An agent `clerk` is added, with a tool
that may be repeated and one that may not. Both append a line to the file `NOTES` each time they run.

Points: `before`, `torn` (in the transaction) and `after`, each with `append <event type>`; `before` and `after`, each
with `start` (of an instance) and `episode` (its commit by the engine); `in model` (at a chunk of an answer);
`in tool`.
"""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turnlog.agents.declaration import Agent
from turnlog.agents.registry import BUILT_IN
from turnlog.agents.tools import tool
from turnlog.domain.chunks import (
    Chunk,
)
from turnlog.domain.deletion import Deletion
from turnlog.domain.ids import ProjectId
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import AnyDocument
from turnlog.domain.values import Piece
from turnlog.local.durable.taskhub import Change, TaskHub
from turnlog.local.host import entry as host
from turnlog.models.assembly import Assembly
from turnlog.scheduler import DurableDeletionScheduler, DurableTurnScheduler
from turnlog.stores.sqlite import log as sqlite_log
from turnlog.stores.sqlite.log import SqliteSessionLog


class Kills:
    """The kills that are still to come."""

    def __init__(self, deaths: Path) -> None:
        self._deaths = deaths
        self._next = ""
        self._reached = 0

    def reach(self, *points: str) -> None:
        """Kill the process if the next kill is at one of `points`, now."""
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


kills = Kills(Path(os.environ["DEATHS"]))
notes = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _points(when: str, chunk: Chunk) -> list[str]:
    return [f"{when} append {kind}" for kind in chunk.types]


def _inject_into_log() -> None:
    append, insert_chunk = SqliteSessionLog.append, sqlite_log.insert_chunk

    async def killing_append(
        self: SqliteSessionLog,
        chunk: Chunk,
        checkpoint: SessionState | None = None,
        documents: Sequence[AnyDocument] = (),
    ) -> None:
        kills.reach(*_points("before", chunk))
        await append(self, chunk, checkpoint, documents)
        kills.reach(*_points("after", chunk))

    def killing_insert(connection: sqlite3.Connection, chunk: Chunk, events: str) -> bool:
        inserted = insert_chunk(connection, chunk, events)
        kills.reach(*_points("torn", chunk))
        return inserted

    SqliteSessionLog.append = killing_append
    sqlite_log.insert_chunk = killing_insert


def _inject_into_engine() -> None:
    start, write = DurableTurnScheduler.start, TaskHub.write
    start_deletion = DurableDeletionScheduler.start

    async def killing_start(self: DurableTurnScheduler, state: SessionState) -> None:
        kills.reach("before start")
        await start(self, state)
        kills.reach("after start")

    async def killing_deletion(self: DurableDeletionScheduler, project_id: ProjectId, deletion: Deletion) -> None:
        kills.reach("before start")
        await start_deletion(self, project_id, deletion)
        kills.reach("after start")

    async def killing_write(self: TaskHub, change: Change) -> None:
        kills.reach("before episode")
        await write(self, change)
        kills.reach("after episode")

    DurableTurnScheduler.start = killing_start
    DurableDeletionScheduler.start = killing_deletion
    TaskHub.write = killing_write


def _inject_into_model() -> None:
    add = Assembly.add

    def killing_add(self: Assembly, chunk: Any) -> list[Piece]:
        kills.reach("in model")
        return add(self, chunk)

    Assembly.add = killing_add


async def note(text: str) -> str:
    """Write a note; the same note may be written again."""
    return await _write(text)


async def stamp(text: str) -> str:
    """Write a note that must not be written twice."""
    return await _write(text)


async def _write(text: str) -> str:
    os.write(notes, f"{text}\n".encode())
    kills.reach("in tool")
    await asyncio.sleep(0.01)
    return f"wrote {text}"


if __name__ == "__main__":
    _inject_into_log()
    _inject_into_engine()
    _inject_into_model()
    tools = (tool(note, idempotent=True), tool(stamp))
    BUILT_IN["clerk"] = Agent("clerk", "Writes notes.", "You write notes.", tools)
    host.main()
