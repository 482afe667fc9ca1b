"""Every function that follows the change feed, by name: the index of this folder."""

import azure.functions as func

from changes.trigger import follow_sessions
from changes.write_rooms import write_rooms

bp = func.Blueprint()

# From the beginning: without a lease the trigger would begin now, and rooms would miss what is in the log already.
follow_sessions(bp, "rooms", 200, from_beginning=True)(write_rooms)
