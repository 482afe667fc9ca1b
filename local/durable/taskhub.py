"""The task hub: instances and their histories in one SQLite file, written by one thread of its own.

What waits when the thread comes round is one transaction, so the busier the hub, the fewer commits. `synchronous` is
NORMAL in WAL mode: a commit survives `kill -9` of this process, which is what is promised, though not a power cut.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from local.errors import RefusedError

T = TypeVar("T")
_Job = tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any] | None]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL, input TEXT NOT NULL, output TEXT NOT NULL,
    custom_status TEXT NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS instances_by_status ON instances (status, created);
CREATE TABLE IF NOT EXISTS history (
    instance TEXT NOT NULL, episode INTEGER NOT NULL, events TEXT NOT NULL, PRIMARY KEY (instance, episode)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS running (
    instance TEXT NOT NULL, task INTEGER NOT NULL, PRIMARY KEY (instance, task)
) WITHOUT ROWID;
"""
OVER = ("Completed", "Failed", "Terminated")


class Row(NamedTuple):
    """An instance as statuses tell of it; `input`, `output` and `custom_status` are JSON."""

    id: str
    name: str
    status: str
    input: str
    output: str
    custom_status: str
    created: str
    updated: str


class Unfinished(NamedTuple):
    """What is needed to go on with an instance: its episodes, and the activities that had been started."""

    id: str
    episodes: list[str]
    running: set[int]


@dataclass(frozen=True)
class Change:
    """One episode to be written; `create` is the row of an instance that begins with it."""

    instance: str
    episode: int
    events: str
    status: str
    output: str
    custom_status: str | None
    updated: str
    ended: list[int] = field(default_factory=list[int])
    create: Row | None = None


@dataclass(frozen=True)
class Filter:
    """Which instances are meant; times are in the hub's own form and inclusive."""

    created_from: str = ""
    created_to: str = "9999"
    statuses: tuple[str, ...] = ()
    prefix: str = ""


class TaskHub:
    """Opened by `open`, closed by `close`; every method may be awaited from the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="taskhub", daemon=True)

    async def open(self) -> None:
        """Open the file, made when it is missing.

        Raises:
            RefusedError: it cannot be opened or is no task hub.
        """
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        try:
            await self._do(lambda _: None)
        except sqlite3.Error as error:
            await self.close()
            raise RefusedError(f"the task hub {self._path} cannot be opened: {error}") from error

    async def close(self) -> None:
        """Write what is still waiting, then close."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def write(self, change: Change) -> None:
        """Write an episode, wholly or not at all."""
        await self._do(lambda connection: _write(connection, change))

    def mark_running(self, instance: str, task: int) -> None:
        """Note, soon, that an activity was started: after a crash it counts as failed instead of starting again."""
        statement = "INSERT OR REPLACE INTO running VALUES (?, ?)"
        self._jobs.put((lambda connection: connection.execute(statement, (instance, task)), None))

    async def unfinished(self) -> list[Unfinished]:
        """Return every instance that has not ended."""
        return await self._do(_unfinished)

    async def read(self, instance: str) -> tuple[Row | None, list[str]]:
        """Return an instance and its episodes."""
        return await self._do(lambda connection: (_row(connection, instance), _episodes(connection, instance)))

    async def find(self, wanted: Filter) -> list[Row]:
        """Return the instances meant by `wanted`, oldest first."""
        return await self._do(lambda connection: _find(connection, wanted))

    async def delete(self, instances: list[str]) -> int:
        """Delete these instances, histories and all; return how many there were."""
        return await self._do(lambda connection: _delete(connection, instances))

    async def _do(self, job: Callable[[sqlite3.Connection], T]) -> T:
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((job, done))
        return await done

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        while (job := self._jobs.get()) is not None:
            batch = [job]
            while not self._jobs.empty() and (job := self._jobs.get()) is not None:
                batch.append(job)
            try:
                connection = connection or _connect(self._path)
                with connection:  # commits, or rolls back
                    connection.execute("BEGIN IMMEDIATE")
                    results = [work(connection) for work, _ in batch]
            except Exception as error:  # noqa: BLE001 - whoever waits for the job gets it
                self._answer(batch, [error] * len(batch))
            else:
                self._answer(batch, results)
            if job is None:
                break
        if connection:
            connection.close()

    def _answer(self, batch: list[_Job], results: list[Any]) -> None:
        waiting = [(done, result) for (_, done), result in zip(batch, results, strict=True) if done]
        if waiting:
            self._loop.call_soon_threadsafe(_resolve, waiting)


def _resolve(waiting: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for done, result in waiting:
        if done.done():  # its caller was cancelled meanwhile
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(_SCHEMA)
    return connection


def _write(connection: sqlite3.Connection, change: Change) -> None:
    if change.create:
        _delete(connection, [change.instance])
        connection.execute("INSERT INTO instances VALUES (?, ?, ?, ?, ?, ?, ?, ?)", change.create)
    connection.execute(
        "UPDATE instances SET status = ?, output = ?, custom_status = coalesce(?, custom_status), updated = ?"
        " WHERE id = ?",
        (change.status, change.output, change.custom_status, change.updated, change.instance),
    )
    connection.execute("INSERT INTO history VALUES (?, ?, ?)", (change.instance, change.episode, change.events))
    if change.status in OVER:
        connection.execute("DELETE FROM running WHERE instance = ?", (change.instance,))
    elif change.ended:
        ended = [(change.instance, task) for task in change.ended]
        connection.executemany("DELETE FROM running WHERE instance = ? AND task = ?", ended)


def _delete(connection: sqlite3.Connection, instances: list[str]) -> int:
    keys = [(each,) for each in instances]
    connection.executemany("DELETE FROM history WHERE instance = ?", keys)
    connection.executemany("DELETE FROM running WHERE instance = ?", keys)
    return max(0, connection.executemany("DELETE FROM instances WHERE id = ?", keys).rowcount)


def _row(connection: sqlite3.Connection, instance: str) -> Row | None:
    found = connection.execute("SELECT * FROM instances WHERE id = ?", (instance,)).fetchone()
    return Row(*found) if found else None


def _episodes(connection: sqlite3.Connection, instance: str) -> list[str]:
    found = connection.execute("SELECT events FROM history WHERE instance = ? ORDER BY episode", (instance,))
    return [events for (events,) in found]


def _find(connection: sqlite3.Connection, wanted: Filter) -> list[Row]:
    found = connection.execute(
        "SELECT * FROM instances WHERE created >= ? AND created <= ? AND substr(id, 1, length(?)) = ? ORDER BY created",
        (wanted.created_from, wanted.created_to, wanted.prefix, wanted.prefix),
    )
    return [row for row in map(Row._make, found) if not wanted.statuses or row.status in wanted.statuses]


def _unfinished(connection: sqlite3.Connection) -> list[Unfinished]:
    found = connection.execute("SELECT id FROM instances WHERE status = 'Running' ORDER BY created")
    started: dict[str, set[int]] = {}
    for instance, task in connection.execute("SELECT instance, task FROM running"):
        started.setdefault(instance, set()).add(task)
    return [Unfinished(each, _episodes(connection, each), started.get(each, set())) for (each,) in found]
