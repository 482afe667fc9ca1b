"""One host per data directory: a lock that the system releases when its holder ends, also if it is killed."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from turnlog.local.errors import LockedError
from turnlog.stores.sqlite.file import make_private


@contextmanager
def hold(directory: Path) -> Generator[None]:
    """Hold `directory` while the body runs; create it, for the system's user only, if it is missing.

    Raises:
        LockedError: another process holds it, or it can't be created.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private(path := directory / "host.lock")
    except OSError as error:
        raise LockedError(f"{directory} can't be created: {error}; choose another one with DATA_DIR") from error
    with path.open("a+") as file:
        try:
            _lock(file)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            text = f"{directory} is in use by another host (process {holder}): stop it, or choose another DATA_DIR"
            raise LockedError(text) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415

        file.seek(1 << 20)  # beyond the text: a lock on Windows also excludes readers
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl  # noqa: PLC0415

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
