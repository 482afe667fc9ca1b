"""The thread that writes a SQLite file. All writes that wait when it is free are committed together."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

_MAX_GROUP = 256  # writes
_Outcome: TypeAlias = tuple[Any, BaseException | None]


class Write:
    """One write that waits: all of `work` is stored, or nothing of it. `done` gets its result or its error."""

    def __init__(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        self.work = work
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def end(self, outcome: _Outcome) -> None:
        """Report to the event loop what became of the write."""
        self.done.get_loop().call_soon_threadsafe(self._set, outcome)

    def _set(self, outcome: _Outcome) -> None:
        result, error = outcome
        if self.done.done():
            return
        if error is None:
            self.done.set_result(result)
        else:
            self.done.set_exception(error)


class GroupCommit:
    """Writes through one connection, which belongs to this thread from now on.

    With `synchronous=FULL` a commit waits for the disk, which takes longer than most writes. The writes that arrive
    in that time share the next commit. So the busier the file, the fewer commits it needs.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: SimpleQueue[Write | None] = SimpleQueue()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="sqlite-write", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> "asyncio.Future[T]":
        """Queue `work`. The future is done once it is committed, or has failed and changed nothing."""
        if self._is_closed:
            raise sqlite3.ProgrammingError("The file is closed.")
        write = Write(work)
        self._waiting.put(write)
        return write.done

    def close(self) -> None:
        """Finish what waits, and end the thread. The connection stays open."""
        self._is_closed = True
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            group = self._next_group()
            writes = [write for write in group if write is not None]
            if writes:
                for write, outcome in zip(writes, commit_together(self._connection, writes), strict=True):
                    write.end(outcome)
            if len(writes) < len(group):
                return

    def _next_group(self) -> list[Write | None]:
        """Wait for a write, and take all that have come until now."""
        group = [self._waiting.get()]
        while group[-1] is not None and len(group) < _MAX_GROUP:
            try:
                group.append(self._waiting.get_nowait())
            except Empty:
                break
        return group


def commit_together(connection: sqlite3.Connection, writes: Sequence[Write]) -> list[_Outcome]:
    """Run `writes` in one transaction. One that fails is rolled back alone; a failed commit fails all of them."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [_run_alone(connection, write) for write in writes]
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return [(None, error)] * len(writes)
    return outcomes


def _run_alone(connection: sqlite3.Connection, write: Write) -> _Outcome:
    """The outcome of one write. Raises what ended the whole transaction: a full disk, for example."""
    connection.execute("SAVEPOINT one")
    try:
        result = write.work(connection)
    except BaseException as error:  # the writer's own: it gets it, and the others continue
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        return None, error
    connection.execute("RELEASE one")
    return result, None
