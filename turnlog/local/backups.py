"""`make backup` and `make restore`: copies of the sessions in SQLite.

A backup is taken while the app runs. A restore needs it stopped, and begins another incarnation of the log: cursors
from before it are refused, because the same sequences may hold other events now.
"""

import argparse
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from turnlog.local.errors import HostError, RefusedError
from turnlog.local.host.options import load_settings
from turnlog.local.lock import hold
from turnlog.stores.sqlite.file import BrokenFileError, connect, renew_incarnation

_MAGIC = b"SQLite format 3\0"
_STORE = "sessions.db"
_BESIDE = ("-wal", "-shm")


def main() -> None:
    arguments = _arguments()
    load_settings(Path())
    data_dir = Path(os.environ.get("DATA_DIR") or ".data")
    try:
        if arguments.command == "backup":
            target = back_up(data_dir, arguments.file)
            print(f"{target}: {target.stat().st_size} bytes, checked")
        else:
            replaced = restore(data_dir, arguments.file)
            print(f"restored {arguments.file}; what was there is in {replaced}")
    except (HostError, BrokenFileError) as error:
        sys.exit(f"cannot {arguments.command}: {error}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m turnlog.local.backups", description=__doc__)
    parser.add_argument("command", choices=("backup", "restore"))
    parser.add_argument("file", type=Path, nargs="?", help="the copy; a backup has a default in DATA_DIR/backups")
    arguments = parser.parse_args()
    if arguments.command == "restore" and arguments.file is None:
        parser.error("name the file to restore: make restore FROM=.data/backups/….db")
    return arguments


def back_up(data_dir: Path, target: Path | None) -> Path:
    """Copy all sessions of `data_dir` to `target`, as they are at one moment. The app may run.

    Raises:
        RefusedError: there are no sessions, or `target` exists or can't be written.
    """
    source = data_dir / _STORE
    target = target or data_dir / "backups" / f"{_now()}.db"
    if not source.is_file():
        raise RefusedError(f"{source} does not exist: set DATA_DIR to the folder of the sessions")
    if target.exists():
        raise RefusedError(f"{target} exists: name another file")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_EXCL, 0o600))
        _copy(source, target)
    except (OSError, sqlite3.DatabaseError) as error:
        target.unlink(missing_ok=True)
        raise RefusedError(f"{source} could not be copied to {target}: {error}") from error
    return target


def restore(data_dir: Path, file: Path) -> Path:
    """Replace the sessions of `data_dir` by the copy `file`. Returns the folder that has what was there before.

    The orchestrations of the local host are put aside with them: the sweep starts the turns of the restored log again.

    Raises:
        LockedError: the app runs. RefusedError, BrokenFileError: `file` can't be used; nothing was changed.
    """
    if not _is_database(file):
        raise RefusedError(f"{file} is not a backup")
    with hold(data_dir):
        restored, replaced = data_dir / f"{_STORE}.restoring", data_dir / f"replaced-{_now()}"
        _remove(restored)
        try:
            shutil.copy(file, restored)
            with closing(connect(restored)) as connection:
                _require_sound(connection)
                renew_incarnation(connection)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (OSError, sqlite3.DatabaseError, BrokenFileError) as error:
            _remove(restored)
            raise RefusedError(f"{file} can't be restored: {error}") from error
        replaced.mkdir(mode=0o700)
        for each in (*data_dir.glob(f"{_STORE}*"), *data_dir.glob("*.taskhub.db*")):
            if each != restored and not each.name.startswith(restored.name):
                each.rename(replaced / each.name)
        restored.rename(data_dir / _STORE)
        _remove(restored)
    return replaced


def _is_database(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _copy(source: Path, target: Path) -> None:
    read_only = f"{source.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(read_only, uri=True)) as original, closing(sqlite3.connect(target)) as copy:
        # In one step: a copy in several steps begins again whenever the app writes.
        original.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # the copy is one file
        _require_sound(copy)


def _require_sound(connection: sqlite3.Connection) -> None:
    (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise sqlite3.DatabaseError(result)


def _remove(path: Path) -> None:
    for name in ("", *_BESIDE):
        path.with_name(path.name + name).unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")


if __name__ == "__main__":
    main()
