"""The function that tells SignalR, where one is set up."""

import azure.functions as func

from changes.broadcast import broadcast
from shared.settings import Settings, settings

bp = func.Blueprint()


def register(bp: func.Blueprint, current: Settings) -> None:
    """Add the function to `bp` if there is a change feed to follow, and a SignalR to tell."""
    if current.cosmos_endpoint is None or current.signalr_endpoint is None:
        return
    messages = bp.generic_output_binding(
        arg_name="messages",
        type="signalR",
        hub_name=current.signalr_hub,
        connection_string_setting="SIGNALR",  # SIGNALR__serviceUri and so on: the app's identity, no key
    )
    # A prefix of its own: what SignalR doesn't take holds up nobody else who follows the feed.
    feed = bp.cosmos_db_trigger(
        arg_name="documents",
        connection="COSMOS",
        database_name=current.cosmos_database,
        container_name="sessions",
        lease_container_name="leases",
        lease_container_prefix="signalr",
        feed_poll_delay=500,
        max_items_per_invocation=100,
    )
    # Without a policy the feed goes on past a batch that failed. It covers the output binding too, which the host
    # writes as part of the run.
    again = bp.retry(
        strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:01", maximum_interval="00:00:30"
    )
    again(feed(messages(broadcast)))


register(bp, settings())
