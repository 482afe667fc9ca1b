"""The stores in Azure Cosmos DB."""

from turnlog.stores import Stores


def open_stores(endpoint: str, name: str, incarnation: str = "1") -> Stores:
    """All stores on one database of an account. Their clients are opened when they are first needed.

    `incarnation`: an operator changes it after a restore.
    """
    # Imported here: the SDK takes a quarter of a second, and the triggers need only names from `containers`.
    from turnlog.stores.cosmos import database, log, projects, room_writer, rooms  # noqa: PLC0415

    opened = database.Database(endpoint, name)
    return Stores(
        log.CosmosSessionLog(opened, incarnation),
        projects.CosmosProjectStore(opened),
        rooms.CosmosRooms(opened),
        room_writer.CosmosRoomWriter(opened),
    )
