"""The function that sends to SignalR; the app has it if an Azure SignalR Service is set up."""

import azure.functions as func

from changes.broadcast import broadcast
from changes.trigger import follow_sessions
from shared.settings import settings

bp = func.Blueprint()

_messages = bp.generic_output_binding(
    arg_name="messages",
    type="signalR",
    hub_name=settings().signalr_hub,
    connection_string_setting="SIGNALR",  # SIGNALR__serviceUri and so on: the app's identity, no key
)
# Its leases are its own, so no other function waits while SignalR does not answer. It begins now: a watcher has read
# the past from the API. The lease has no continuation token until the first batch is done, so a host that starts again
# before that also begins now, and skips what was written in between.
_follow = follow_sessions(bp, "signalr", 100, from_beginning=False)

# The retry policy covers the output binding: the host writes it as a part of the run.
_follow(_messages(broadcast))
