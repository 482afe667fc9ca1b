"""The stores in Azure Cosmos DB."""

from shared.stores import Stores


def open_stores(endpoint: str, name: str) -> Stores:
    """All stores on one database of an account. Their clients are opened when they are first needed."""
    # Imported here: the SDK takes a quarter of a second, and the triggers need only names from `containers`.
    from shared.stores.cosmos import database, log, projects, room_writer, rooms  # noqa: PLC0415

    opened = database.Database(endpoint, name)
    return Stores(
        log.CosmosSessionLog(opened),
        projects.CosmosProjectStore(opened),
        rooms.CosmosRooms(opened),
        room_writer.CosmosRoomWriter(opened),
    )
