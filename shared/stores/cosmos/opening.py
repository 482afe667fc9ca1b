"""All stores on one Cosmos DB database."""

from shared.stores.cosmos.database import Database
from shared.stores.cosmos.log import CosmosSessionLog
from shared.stores.cosmos.projects import CosmosProjectStore


def open_stores(endpoint: str, name: str) -> tuple[CosmosSessionLog, CosmosProjectStore]:
    """The log and the projects; their clients open when first needed, and closing the log closes them for both."""
    database = Database(endpoint, name)
    return CosmosSessionLog(database), CosmosProjectStore(database)
