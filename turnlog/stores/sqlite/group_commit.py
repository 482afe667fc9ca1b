"""The thread that writes a SQLite file. All writes that wait when it is free are committed together."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

_MAX_GROUP = 256  # writes
_Outcome: TypeAlias = tuple[Any, BaseException | None]

_log = logging.getLogger(__name__)


class Write:
    """One write that waits: all of `work` is stored, or nothing of it. `done` gets its result or its error.

    `on_commit` gets the result before that, also if nobody waits for `done` any more.
    """

    def __init__(self, work: Callable[[sqlite3.Connection], Any], on_commit: Callable[[Any], object] | None) -> None:
        self.work = work
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._on_commit = on_commit

    def end(self, outcome: _Outcome) -> None:
        """Report what became of the write, in the event loop."""
        result, error = outcome
        if error is None and self._on_commit is not None:
            try:
                self._on_commit(result)
            except Exception:  # noqa: BLE001  # it is stored all the same, and the other writes have callers as well
                _log.exception("what follows a commit failed")
        if self.done.done():  # its caller was cancelled
            return
        if error is None:
            self.done.set_result(result)
        else:
            self.done.set_exception(error)
            self.done.exception()  # if the caller is cancelled now, the error concerns nobody


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

    def submit(
        self, work: Callable[[sqlite3.Connection], T], on_commit: Callable[[T], object] | None = None
    ) -> "asyncio.Future[T]":
        """Queue `work`. The future is done once it is committed, or has failed and changed nothing.

        If the future is cancelled, the work is done all the same.
        """
        if self._is_closed:
            raise _closed_error()
        write = Write(work, on_commit)
        self._waiting.put(write)
        return write.done

    def close(self) -> None:
        """Finish what waits, and end the thread. The connection stays open."""
        self._is_closed = True
        self._waiting.put(None)
        self._thread.join()
        with suppress(Empty):
            while True:  # writes that came in between
                if (late := self._waiting.get_nowait()) is not None:
                    late.done.get_loop().call_soon_threadsafe(late.end, (None, _closed_error()))

    def _run(self) -> None:
        while True:
            group = self._next_group()
            writes = [write for write in group if write is not None]
            if writes:
                outcomes = commit_together(self._connection, writes)
                with suppress(RuntimeError):  # the event loop was closed: nobody waits
                    writes[0].done.get_loop().call_soon_threadsafe(_end_all, writes, outcomes)
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


def _closed_error() -> sqlite3.ProgrammingError:
    return sqlite3.ProgrammingError("The file is closed.")


def _end_all(writes: Sequence[Write], outcomes: Sequence[_Outcome]) -> None:
    for write, outcome in zip(writes, outcomes, strict=True):
        write.end(outcome)


def commit_together(connection: sqlite3.Connection, writes: Sequence[Write]) -> list[_Outcome]:
    """Run `writes` in one transaction. One that fails is undone alone; a failed commit fails all of them.

    There is no savepoint for each: at every statement this thread waits for Python's lock.
    """
    failed: dict[int, BaseException] = {}
    try:
        while (results := _run(connection, writes, failed)) is None:
            connection.execute("ROLLBACK")
        connection.execute("COMMIT")
    except BaseException as error:  # noqa: BLE001  # whatever it is, the thread continues, and each caller gets it
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        return [(None, error)] * len(writes)
    return [(results.get(number), failed.get(number)) for number in range(len(writes))]


def _run(
    connection: sqlite3.Connection, writes: Sequence[Write], failed: dict[int, BaseException]
) -> dict[int, Any] | None:
    """The results of the writes that have not `failed`, in a transaction. None if another one failed half done.

    Raises what ended the whole transaction: a full disk, for example.
    """
    connection.execute("BEGIN IMMEDIATE")
    results: dict[int, Any] = {}
    for number, write in enumerate(writes):
        if number in failed:
            continue
        changed_before = connection.total_changes
        try:
            results[number] = write.work(connection)
        except BaseException as error:  # the writer's own: it gets it, and the others continue
            if not connection.in_transaction:
                raise
            failed[number] = error
            if connection.total_changes != changed_before:
                return None
    return results
