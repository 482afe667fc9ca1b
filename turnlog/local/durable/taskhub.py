"""The task hub: instances and their histories in one SQLite file, written by one thread.

All jobs that wait when the thread is free are one transaction, so the busier the hub, the fewer commits. `synchronous`
is NORMAL in WAL mode: a commit survives `kill -9` of this process, which is what is promised, but not a power cut.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from turnlog.local.errors import RefusedError
from turnlog.stores.sqlite.file import make_private

T = TypeVar("T")
_Job = tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any] | None]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL, output TEXT NOT NULL,
    created TEXT NOT NULL, updated TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS instances_by_status ON instances (status, created);
CREATE TABLE IF NOT EXISTS history (
    instance TEXT NOT NULL, episode INTEGER NOT NULL, events TEXT NOT NULL, PRIMARY KEY (instance, episode)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS running (
    instance TEXT NOT NULL, task INTEGER NOT NULL, PRIMARY KEY (instance, task)
) WITHOUT ROWID;
"""
RUNNING, COMPLETED, FAILED = "Running", "Completed", "Failed"
"""The statuses of an instance."""


class Row(NamedTuple):
    """An instance as its status shows it; `output` is JSON."""

    id: str
    name: str
    status: str
    output: str
    created: str
    updated: str


class Unfinished(NamedTuple):
    """An instance that has not ended: its episodes, and the ids of its activities that were started."""

    id: str
    episodes: list[str]
    started: set[int]


@dataclass(frozen=True)
class Change:
    """One episode to write: its `events`, the instance after it, and the ids of the activities that `ended` in it."""

    instance_id: str
    name: str
    episode: int
    events: str
    status: str
    output: str
    updated: str
    ended: Sequence[int]


class TaskHub:
    """Opened by `open`, closed by `close`; the event loop may await every method."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="taskhub", daemon=True)

    async def open(self) -> None:
        """Open the file; create it if it is missing.

        Raises:
            RefusedError: the file cannot be opened or is not a task hub.
        """
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        try:
            await self._do(lambda _: None)
        except sqlite3.Error as error:
            await self.close()
            raise RefusedError(f"the task hub {self._path} cannot be opened: {error}") from error

    async def close(self) -> None:
        """Run the jobs that still wait, then close the file."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def write(self, change: Change) -> None:
        """Write an episode, all of it or nothing. The first episode replaces an ended instance with the same id."""
        await self._do(lambda connection: _write(connection, change))

    def mark_started(self, instance_id: str, task_id: int) -> None:
        """Note, soon, that an activity was started: after a crash it counts as failed and is not started again."""
        statement = "INSERT OR REPLACE INTO running VALUES (?, ?)"
        self._jobs.put((lambda connection: connection.execute(statement, (instance_id, task_id)), None))

    async def unfinished(self) -> list[Unfinished]:
        """Return every instance that has not ended."""
        return await self._do(_unfinished)

    async def read(self, instance_id: str) -> Row | None:
        """Return an instance."""
        return await self._do(lambda connection: _read(connection, instance_id))

    async def purge(self, created_from: str, created_to: str, statuses: Sequence[str]) -> int:
        """Delete the ended instances with one of `statuses` created between these times; return how many there were.

        The times are as `format_timestamp` writes them, and inclusive.
        """
        ended = {COMPLETED, FAILED}.intersection(statuses)
        return await self._do(lambda connection: _purge(connection, created_from, created_to, ended))

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
            except Exception as error:  # noqa: BLE001 - the callers that wait for the jobs get it
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
        if done.done():  # its caller was cancelled
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)


def _connect(path: Path) -> sqlite3.Connection:
    make_private(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(_SCHEMA)
    return connection


def _write(connection: sqlite3.Connection, change: Change) -> None:
    instance_id = change.instance_id
    if change.episode == 0:
        _delete(connection, [instance_id])
        row = Row(instance_id, change.name, change.status, change.output, change.updated, change.updated)
        connection.execute("INSERT INTO instances VALUES (?, ?, ?, ?, ?, ?)", row)
    else:
        update = "UPDATE instances SET status = ?, output = ?, updated = ? WHERE id = ?"
        connection.execute(update, (change.status, change.output, change.updated, instance_id))
    connection.execute("INSERT INTO history VALUES (?, ?, ?)", (instance_id, change.episode, change.events))
    if change.status != RUNNING:
        connection.execute("DELETE FROM running WHERE instance = ?", (instance_id,))
    elif change.ended:
        ended = [(instance_id, task_id) for task_id in change.ended]
        connection.executemany("DELETE FROM running WHERE instance = ? AND task = ?", ended)


def _delete(connection: sqlite3.Connection, instance_ids: Sequence[str]) -> None:
    for table, column in (("history", "instance"), ("running", "instance"), ("instances", "id")):
        keys = [(each,) for each in instance_ids]
        connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", keys)  # noqa: S608 - constants


def _read(connection: sqlite3.Connection, instance_id: str) -> Row | None:
    found = connection.execute("SELECT * FROM instances WHERE id = ?", (instance_id,)).fetchone()
    return Row(*found) if found else None


def _purge(connection: sqlite3.Connection, created_from: str, created_to: str, statuses: set[str]) -> int:
    query = "SELECT id, status FROM instances WHERE created BETWEEN ? AND ?"
    rows = connection.execute(query, (created_from, created_to)).fetchall()
    ended = [instance_id for instance_id, status in rows if status in statuses]
    _delete(connection, ended)
    return len(ended)


def _unfinished(connection: sqlite3.Connection) -> list[Unfinished]:
    started: dict[str, set[int]] = {}
    for instance_id, task_id in connection.execute("SELECT instance, task FROM running"):
        started.setdefault(instance_id, set()).add(task_id)
    found = connection.execute("SELECT id FROM instances WHERE status = ? ORDER BY created", (RUNNING,))
    return [Unfinished(each, _episodes(connection, each), started.get(each, set())) for (each,) in found.fetchall()]


def _episodes(connection: sqlite3.Connection, instance_id: str) -> list[str]:
    found = connection.execute("SELECT events FROM history WHERE instance = ? ORDER BY episode", (instance_id,))
    return [events for (events,) in found]
