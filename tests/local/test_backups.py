"""Backups of the sessions in SQLite, and restores."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.factories import append_events, create_session, delta
from turnlog.domain.ids import SessionId
from turnlog.local.backups import back_up, restore
from turnlog.local.errors import LockedError, RefusedError
from turnlog.local.lock import hold
from turnlog.stores import sqlite as store

pytestmark = pytest.mark.anyio

OLD, LATER = SessionId("old"), SessionId("later")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def heads(data_dir: Path) -> tuple[str, list[int | None]]:
    """The incarnation, and the heads of the two sessions."""
    log = store.open_stores(data_dir / "sessions.db").log
    states = [await log.state(each) for each in (OLD, LATER)]
    await log.close()
    return log.incarnation, [None if state is None else state.head for state in states]


async def test_a_backup_taken_while_the_app_writes_is_restored_as_another_incarnation(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    log = store.open_stores(data_dir / "sessions.db").log
    state = await create_session(log, OLD)
    copy = back_up(data_dir, None)
    await append_events(log, state, delta())
    await create_session(log, LATER)
    await log.close()
    before, there = await heads(data_dir)
    (data_dir / "turnlog.taskhub.db").write_bytes(b"orchestrations")

    replaced = restore(data_dir, copy)

    after, restored = await heads(data_dir)
    assert (there, restored) == ([2, 1], [1, None])
    assert after != before
    assert await heads(replaced) == (before, [2, 1])
    assert (replaced / "turnlog.taskhub.db").exists()
    assert not (data_dir / "turnlog.taskhub.db").exists()


async def test_a_restore_is_refused_while_the_app_runs(tmp_path: Path) -> None:
    log = store.open_stores(tmp_path / "sessions.db").log
    await create_session(log, OLD)
    await log.close()
    copy = back_up(tmp_path, tmp_path / "copy.db")

    with hold(tmp_path), pytest.raises(LockedError):
        subprocess_restore(tmp_path, copy)

    assert (await heads(tmp_path))[1] == [1, None]


def subprocess_restore(data_dir: Path, copy: Path) -> None:
    """Restore in another process, as an operator does: a lock excludes only other processes."""
    command = [sys.executable, "-m", "turnlog.local.backups", "restore", str(copy)]
    env = {**os.environ, "DATA_DIR": str(data_dir)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("cannot restore: ")
    raise LockedError(line) if "in use by another host" in line else AssertionError(line)


@pytest.mark.parametrize("content", [b"garbage " * 1000, b""])
async def test_a_file_that_is_no_backup_changes_nothing(tmp_path: Path, content: bytes) -> None:
    log = store.open_stores(tmp_path / "sessions.db").log
    await create_session(log, OLD)
    await log.close()
    (tmp_path / "copy.db").write_bytes(content)
    before = await heads(tmp_path)

    with pytest.raises(RefusedError):
        restore(tmp_path, tmp_path / "copy.db")

    assert await heads(tmp_path) == before
    assert [each.name for each in tmp_path.glob("*restoring*")] == []


def test_a_damaged_file_is_not_backed_up(tmp_path: Path) -> None:
    (tmp_path / "sessions.db").write_bytes(b"garbage " * 1000)

    with pytest.raises(RefusedError):
        back_up(tmp_path, tmp_path / "copy.db")

    assert not (tmp_path / "copy.db").exists()


async def test_a_backup_never_replaces_a_file(tmp_path: Path) -> None:
    await store.open_stores(tmp_path / "sessions.db").log.close()
    copy = back_up(tmp_path, tmp_path / "copy.db")

    with pytest.raises(RefusedError):
        back_up(tmp_path, copy)

    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT count(*) FROM states").fetchone() == (0,)
