"""The stores: one package per database. One contract suite (tests/contract) runs on all of them."""

from typing import NamedTuple

from turnlog.ports import ProjectStore, RoomFeed, RoomWriter, SessionLog


class Stores(NamedTuple):
    """All stores on one database. Closing the log closes the database for all of them.

    `room_writer` is None where the log itself writes the rooms, in the transaction that appends.
    """

    log: SessionLog
    projects: ProjectStore
    rooms: RoomFeed
    room_writer: RoomWriter | None = None
