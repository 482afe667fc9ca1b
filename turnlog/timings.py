"""How long things may take, and how soon silence is noticed.

Each limit is less than the one around it, so the inner one ends first and says why:
a model call or a tool call < a turn < the function; a stream < the function; a wait for an answer < the network.
"""

from dataclasses import dataclass
from datetime import timedelta

TOOL_CALL_TIMEOUT = timedelta(minutes=2)

FUNCTION_TIMEOUT = timedelta(minutes=30)
"""functionTimeout in host.json. After it the host kills the worker process, with every other function in it."""

SHUTDOWN_MARGIN = timedelta(minutes=5)
"""The time that a function needs after its deadline: to notice the deadline, and to write its end on a slow store."""

NETWORK_IDLE_TIMEOUT = timedelta(seconds=230)
"""Azure's load balancer drops a request after so long without a byte."""

MAX_WORK_TIME = FUNCTION_TIMEOUT - SHUTDOWN_MARGIN
"""The maximum of the settings for a turn and for a stream."""

MAX_WAIT = NETWORK_IDLE_TIMEOUT - timedelta(seconds=30)
"""The maximum time that a request may wait without sending a byte."""


@dataclass(frozen=True)
class Timings:
    """How soon silence is noticed. The cloud's numbers allow for its queues; one machine has none.

    Attributes:
        flush_ms: pauses between writes of an answer: the first piece is written at once, the last number repeats.
        renew_lease_after: how long a working activity may append nothing before it renews its lease.
        start_grace: how old a claimed turn is before the sweep starts an instance for it.
        lost_after: the silence of an attempt that has begun after which the sweep gives its turn to another instance.
        handover_after: the same between two steps, where the next attempt may wait in a queue.
        begin_after: the same before the first step, where turns wait for a place as long as others have them. Each of
            the three doubles each time.
        clear_after: how long a deleted session keeps its log, so that appends of earlier writers are refused.
        retry_pause: the pause after an attempt that failed on the platform. It doubles up to `max_retry_pause`.
        sweep_seconds: the interval of the sweep.
        webhook_pauses: the seconds between attempts to deliver to a webhook; after the last one it is given up.
        clear_schedule: when deleted sessions are cleared: NCRONTAB, with seconds.
    """

    flush_ms: tuple[int, ...]
    renew_lease_after: timedelta
    start_grace: timedelta
    lost_after: timedelta
    handover_after: timedelta
    begin_after: timedelta
    clear_after: timedelta
    retry_pause: timedelta
    max_retry_pause: timedelta
    sweep_seconds: int
    webhook_pauses: tuple[float, ...]
    clear_schedule: str


CLOUD = Timings(
    flush_ms=(100, 200, 400, 500),
    renew_lease_after=timedelta(seconds=10),
    start_grace=timedelta(seconds=30),
    lost_after=timedelta(seconds=30),
    handover_after=timedelta(seconds=60),
    begin_after=timedelta(minutes=5),
    clear_after=timedelta(minutes=35),  # above FUNCTION_TIMEOUT: no earlier writer is left
    retry_pause=timedelta(seconds=1),
    max_retry_pause=timedelta(seconds=30),
    sweep_seconds=15,
    webhook_pauses=(5, 30, 120, 600, 1800, 3600, 7200, 18_000, 36_000),
    clear_schedule="0 */10 * * * *",
)
ONE_MACHINE = Timings(
    flush_ms=(15,),
    renew_lease_after=timedelta(seconds=1),
    start_grace=timedelta(seconds=1),
    lost_after=timedelta(seconds=5),
    handover_after=timedelta(minutes=5),  # its queue hides no message
    begin_after=timedelta(minutes=5),
    clear_after=timedelta(0),
    retry_pause=timedelta(seconds=0.2),
    max_retry_pause=timedelta(seconds=5),
    sweep_seconds=1,
    webhook_pauses=(0.5, 2, 5, 30, 120, 600, 3600),
    clear_schedule="*/2 * * * * *",
)
