"""Every function that follows the change feed, by name: the index of this folder."""

from typing import Any

import azure.functions as func

from changes.write_rooms import write_rooms
from shared.settings import settings
from shared.stores.cosmos.containers import LEASES, SESSIONS

bp = func.Blueprint()

# Two functions with the same lease prefix would share one reading of the feed: each has its own.
_FEED: dict[str, Any] = {
    "arg_name": "documents",
    "connection": "COSMOS",
    "database_name": settings().cosmos_database,
    "container_name": SESSIONS,
    "lease_container_name": LEASES,
    # By default 5 s. A look at a feed without changes costs 1 or 2 RU for each physical partition.
    "feed_poll_delay": 500,
    "max_items_per_invocation": 200,
    # When there is no lease yet: what is appended before the trigger first looks would be told to nobody.
    "start_from_beginning": True,
}
# Without it the trigger goes on to the next batch when a function fails, and the failed one is never told.
_until_it_succeeds = bp.retry(
    strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:01", maximum_interval="00:00:30"
)

_until_it_succeeds(bp.cosmos_db_trigger(**_FEED, lease_container_prefix="rooms")(write_rooms))
