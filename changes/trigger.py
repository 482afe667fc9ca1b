"""The change-feed trigger of the sessions' container: its settings, which all functions of this folder share."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import azure.functions as func

from shared.settings import settings
from shared.stores.cosmos.containers import LEASES, SESSIONS

POLL_DELAY = timedelta(milliseconds=500)
"""By default 5 s. A look at a feed without changes costs 1 or 2 RU for each physical partition."""

# One host instance owns the lease of each range of the feed. When the instance is lost, nobody reads the range until
# the lease has expired and another instance has looked for such leases. The SDK's defaults (60 s, 13 s, renewal every
# 17 s) make that 65 to 75 s; these make it 17 to 20 s. The price is more requests for leases: docs/run/cost.md.
LEASE_EXPIRATION_INTERVAL = timedelta(seconds=15)
LEASE_ACQUIRE_INTERVAL = timedelta(seconds=5)
LEASE_RENEW_INTERVAL = timedelta(seconds=5)
"""A third of the expiration: one renewal may fail, and the lease is still kept."""

_CONNECTION = "COSMOS"  # COSMOS__accountEndpoint and so on: the app's identity, no key


def follow_sessions(
    bp: func.Blueprint, lease_prefix: str, max_items: int, *, from_beginning: bool
) -> Callable[[Any], None]:
    """Return a decorator that registers a function of `bp`, which gets the changes of the sessions, batch after batch.

    Two functions with one `lease_prefix` would share one reading of the feed, so each has its own. A batch has about
    `max_items` documents: it never ends within a transaction. A function that fails gets the batch again, without end.
    """
    trigger: dict[str, Any] = {
        "arg_name": "documents",
        "connection": _CONNECTION,
        "database_name": settings().cosmos_database,
        "container_name": SESSIONS,
        "lease_container_name": LEASES,
        "lease_container_prefix": lease_prefix,
        "lease_expiration_interval": _milliseconds(LEASE_EXPIRATION_INTERVAL),
        "lease_acquire_interval": _milliseconds(LEASE_ACQUIRE_INTERVAL),
        "lease_renew_interval": _milliseconds(LEASE_RENEW_INTERVAL),
        "feed_poll_delay": _milliseconds(POLL_DELAY),
        "max_items_per_invocation": max_items,
        "start_from_beginning": from_beginning,
    }
    # Without this policy the trigger skips a batch whose function failed.
    until_it_succeeds = bp.retry(
        strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:01", maximum_interval="00:00:30"
    )

    def register(function: Any) -> None:
        until_it_succeeds(bp.cosmos_db_trigger(**trigger)(function))

    return register


def _milliseconds(interval: timedelta) -> int:
    return interval // timedelta(milliseconds=1)
