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
        check_after: how long the orchestrator waits for an activity before it checks whether the activity is alive.
        renew_lease_after: how long a working activity may append nothing before it renews its lease.
        lost_after: the silence after which an attempt is considered lost.
        start_grace: how old a claimed turn is before the sweep starts an instance for it.
        handover_after: the silence after which the sweep gives a turn to another instance; doubles each time.
        clear_after: how long a deleted session keeps its log, so that appends of earlier writers are refused.
        sweep_schedule: NCRONTAB, with seconds.
    """

    flush_ms: tuple[int, ...]
    check_after: timedelta
    renew_lease_after: timedelta
    lost_after: timedelta
    start_grace: timedelta
    handover_after: timedelta
    clear_after: timedelta
    sweep_schedule: str


CLOUD = Timings(
    flush_ms=(100, 200, 400, 500),
    check_after=timedelta(seconds=20),
    renew_lease_after=timedelta(seconds=10),
    lost_after=timedelta(seconds=25),
    start_grace=timedelta(seconds=30),
    handover_after=timedelta(seconds=60),
    clear_after=timedelta(minutes=35),  # above FUNCTION_TIMEOUT: no earlier writer is left
    sweep_schedule="*/30 * * * * *",
)
ONE_MACHINE = Timings(
    flush_ms=(15,),
    check_after=timedelta(seconds=2),
    renew_lease_after=timedelta(seconds=1),
    lost_after=timedelta(seconds=5),
    start_grace=timedelta(seconds=1),
    handover_after=timedelta(seconds=10),
    clear_after=timedelta(0),
    sweep_schedule="*/2 * * * * *",
)
