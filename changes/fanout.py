"""The function that tells SignalR; the app has it where a SignalR is set up."""

import azure.functions as func

from changes.broadcast import broadcast
from shared.settings import settings
from shared.stores.cosmos.containers import LEASES, SESSIONS

bp = func.Blueprint()

_messages = bp.generic_output_binding(
    arg_name="messages",
    type="signalR",
    hub_name=settings().signalr_hub,
    connection_string_setting="SIGNALR",  # SIGNALR__serviceUri and so on: the app's identity, no key
)
# A lease prefix of its own: what SignalR doesn't take holds up nobody else who follows the feed. It begins now: who
# begins to watch has read what was before.
_feed = bp.cosmos_db_trigger(
    arg_name="documents",
    connection="COSMOS",
    database_name=settings().cosmos_database,
    container_name=SESSIONS,
    lease_container_name=LEASES,
    lease_container_prefix="signalr",
    feed_poll_delay=500,
    max_items_per_invocation=100,
)
# Without a policy the feed goes on past a batch that failed. It covers the output binding too, which the host writes as
# part of the run.
_until_it_succeeds = bp.retry(
    strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:01", maximum_interval="00:00:30"
)

_until_it_succeeds(_feed(_messages(broadcast)))
