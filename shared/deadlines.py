"""How long things may take, each less than what is around it: the inner one ends first, and says why.

A model call or a tool call < a turn < the function; a stream < the function; a wait for an answer < the network.
"""

from datetime import timedelta

MODEL_CALL = timedelta(minutes=5)
TOOL_CALL = timedelta(minutes=2)

FUNCTION = timedelta(minutes=30)
"""functionTimeout in host.json. What runs longer takes the worker process with it, and all its neighbours."""

MARGIN = timedelta(minutes=5)
"""What a function may need once its deadline is over: to hear of it, and to write its end on a slow store."""

NETWORK_IDLE = timedelta(seconds=230)
"""After so long without a byte Azure's load balancer drops a request."""

LONGEST = FUNCTION - MARGIN
"""What a setting may ask for at most, of a turn or a stream."""

LONGEST_WAIT = NETWORK_IDLE - timedelta(seconds=30)
"""What a request may wait for at most without a byte."""
