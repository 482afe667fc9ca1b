"""All stores on one SQLite file."""

from pathlib import Path

from shared.stores.sqlite.database import Database
from shared.stores.sqlite.log import SqliteSessionLog
from shared.stores.sqlite.projects import SqliteProjectStore


def open_stores(path: Path) -> tuple[SqliteSessionLog, SqliteProjectStore]:
    """The log and the projects; closing the log closes the file for both."""
    database = Database(path)
    return SqliteSessionLog(database), SqliteProjectStore(database)
