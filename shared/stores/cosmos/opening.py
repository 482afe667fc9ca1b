"""All stores on one Cosmos DB database."""

from typing import TypeAlias

from shared.stores.cosmos.database import Database
from shared.stores.cosmos.log import CosmosSessionLog
from shared.stores.cosmos.projects import CosmosProjectStore
from shared.stores.cosmos.room_writer import CosmosRoomWriter
from shared.stores.cosmos.rooms import CosmosRooms

CosmosStores: TypeAlias = tuple[CosmosSessionLog, CosmosProjectStore, CosmosRooms, CosmosRoomWriter]


def open_stores(endpoint: str, name: str) -> CosmosStores:
    """The stores; their clients open when first needed, and closing the log closes them for all."""
    database = Database(endpoint, name)
    return CosmosSessionLog(database), CosmosProjectStore(database), CosmosRooms(database), CosmosRoomWriter(database)
