"""The functions that follow the change feed, with the trigger and the retry policy that they share."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import azure.functions as func

from turnlog.changes.push import send_to_socketio, send_to_websockets
from turnlog.changes.rooms import write_rooms
from turnlog.changes.signalr import send_to_signalr
from turnlog.settings import Settings
from turnlog.stores.cosmos.containers import LEASES, SESSIONS

POLL_DELAY = timedelta(milliseconds=500)
"""The SDK's default is 5 s. A poll of a feed without changes costs 1 or 2 RU for each physical partition."""

# One host instance owns the lease of each range of the feed. If the instance is lost, nobody reads the range until the
# lease has expired and another instance has checked for expired leases. With the SDK's defaults (60 s, 13 s, renewal
# every 17 s) that takes 65 to 75 s; with these values 17 to 20 s, for more requests (docs/run/cost.md).
LEASE_EXPIRATION_INTERVAL = timedelta(seconds=15)
LEASE_ACQUIRE_INTERVAL = timedelta(seconds=5)
LEASE_RENEW_INTERVAL = timedelta(seconds=5)
"""A third of the expiration: if one renewal fails, the lease is still kept."""

_COSMOS = "COSMOS"  # the prefix of COSMOS__accountEndpoint and so on: the app's identity, no key
_SIGNALR = "SIGNALR"  # the prefix of SIGNALR__serviceUri and so on: the same

Register = Callable[[Any], None]


def change_feed_functions(app_settings: Settings) -> func.Blueprint:
    """All functions of this folder. Those that push to a service are left out if it is not configured."""
    bp = func.Blueprint()

    # From the beginning: without a lease the trigger would start now, and rooms would miss what the log already holds.
    _follow(bp, app_settings, "rooms", max_items=200, from_beginning=True)(write_rooms)

    if app_settings.signalr_endpoint is not None:
        # The retry policy also covers the output binding: the host sends it as part of the run.
        messages = bp.generic_output_binding(
            arg_name="messages", type="signalR", hub_name=app_settings.signalr_hub, connection_string_setting=_SIGNALR
        )
        # From now: watchers read the past from the API. The lease has no continuation token until the first batch is
        # done. A host that restarts before that also starts now, and skips what was written in between.
        _follow(bp, app_settings, "signalr", max_items=100, from_beginning=False)(messages(send_to_signalr))
    if app_settings.socketio_endpoint is not None:
        _follow(bp, app_settings, "socketio", max_items=100, from_beginning=False)(send_to_socketio)
    if app_settings.websocket_endpoint is not None:
        _follow(bp, app_settings, "websocket", max_items=100, from_beginning=False)(send_to_websockets)
    return bp


def _follow(
    bp: func.Blueprint, app_settings: Settings, lease_prefix: str, *, max_items: int, from_beginning: bool
) -> Register:
    """Return a decorator: it registers a function of `bp` that gets the changes of the sessions, batch after batch.

    Two functions with one `lease_prefix` would share one reading of the feed. With its own, none waits for another. A
    batch has about `max_items` documents and never ends within a transaction. A function that fails gets the batch
    again, without end.
    """
    trigger: dict[str, Any] = {
        "arg_name": "documents",
        "connection": _COSMOS,
        "database_name": app_settings.cosmos_database,
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
    # Without a retry policy the trigger skips a batch whose function failed.
    retry = bp.retry(
        strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:01", maximum_interval="00:00:30"
    )

    def register(function: Any) -> None:
        retry(bp.cosmos_db_trigger(**trigger)(function))

    return register


def _milliseconds(interval: timedelta) -> int:
    return interval // timedelta(milliseconds=1)
