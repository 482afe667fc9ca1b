"""The stores in a SQLite file, for one machine."""

from pathlib import Path
from typing import Literal

from turnlog.stores import Stores


def open_stores(path: Path, synchronous: Literal["full", "normal"] = "full") -> Stores:
    """All stores on one file, which is created if there is none. See `Database` for `synchronous`."""
    from turnlog.stores.sqlite import database, log, projects, rooms  # noqa: PLC0415  # only where this store is used

    opened = database.Database(path, synchronous)
    feed = rooms.SqliteRooms(opened)
    return Stores(log.SqliteSessionLog(opened, feed), projects.SqliteProjectStore(opened), feed)
