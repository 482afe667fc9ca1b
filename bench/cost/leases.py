"""What the change feed's leases cost: computed, because the Functions host sends their requests, and no client here.

What is requested is read from the SDK on which the trigger is built: github.com/Azure/azure-cosmos-dotnet-v3, folder
`Microsoft.Azure.Cosmos/src/ChangeFeedProcessor`. A function has one lease for each physical partition (range).

- A renewal reads the lease and replaces it, with If-Match: `FeedManagement/LeaseRenewerCore.cs`,
  `LeaseManagement/DocumentServiceLeaseManagerCosmos.cs`.
- A scan is a query by each instance for all leases of the function; it finds those that have expired:
  `FeedManagement/PartitionLoadBalancerCore.cs`, `LeaseManagement/DocumentServiceLeaseContainerCosmos.cs`.
- A checkpoint follows each batch. It replaces the lease that the checkpointer has in memory, with If-Match. If there
  was a renewal since the last checkpoint, this is refused; then it reads the lease and replaces it:
  `FeedProcessing/AutoCheckpointer.cs`, `LeaseManagement/DocumentServiceLeaseUpdaterCosmos.cs`.
- A look reads the feed: at once after a batch, else after the poll delay: `FeedProcessing/FeedProcessorCore.cs`.
"""

from dataclasses import dataclass
from datetime import timedelta

from bench.cost import prices
from bench.cost.charges import STRONG_QUERY, replacement, strong_read
from bench.cost.turns import Turn
from changes.blueprint import LEASE_ACQUIRE_INTERVAL, LEASE_RENEW_INTERVAL, POLL_DELAY

_LEASE_BYTES = 512
"""About; whatever is smaller than 1 KB is charged as 1 KB."""

# Every property of a lease is indexed. A renewal changes its timestamp, a checkpoint its continuation token as well.
CHECKPOINT = replacement(_LEASE_BYTES, changed=2)
CHECKPOINT_AFTER_RENEWAL = CHECKPOINT + strong_read(_LEASE_BYTES) + CHECKPOINT
"""The refused write is charged as if it were done, as in `charges.Meter`; it probably costs less."""


@dataclass(frozen=True)
class Repeated:
    """What a trigger repeats, changes or not. `by_default` is the SDK's interval; euros are those of serverless."""

    title: str
    charge: float
    interval: timedelta
    by_default: timedelta

    @property
    def per_second(self) -> float:
        """Request units."""
        return self.charge / self.interval.total_seconds()

    @property
    def per_month(self) -> float:
        """Request units."""
        return self.charge * (prices.MONTH / self.interval)

    @property
    def euros(self) -> float:
        """For a month."""
        return prices.serverless(self.per_month)

    @property
    def euros_by_default(self) -> float:
        """For a month, with the SDK's own interval."""
        return prices.serverless(self.charge * (prices.MONTH / self.by_default))


# The SDK's intervals: `Configuration/ChangeFeedLeaseOptions.cs` and `Configuration/ChangeFeedProcessorOptions.cs`.
LEASES = (
    Repeated(
        "renewal, for each range and function",
        strong_read(_LEASE_BYTES) + replacement(_LEASE_BYTES, changed=1),
        interval=LEASE_RENEW_INTERVAL,
        by_default=timedelta(seconds=17),
    ),
    Repeated(
        "scan, for each instance and function",
        STRONG_QUERY,
        interval=LEASE_ACQUIRE_INTERVAL,
        by_default=timedelta(seconds=13),
    ),
)
# For a look that finds nothing there is no published charge: it is charged as the smallest read.
LOOKS = Repeated(
    "look at the feed, for each range and function",
    strong_read(0),
    interval=POLL_DELAY,
    by_default=timedelta(seconds=5),
)


def checkpoints(turn: Turn) -> float:
    """Request units of one function's checkpoints for a turn that runs alone, if each of its writes makes a batch.

    That is the maximum: writes within one poll delay share a batch, and so do those of turns that run at the same time.
    """
    batches = sum(request.kind == "write" for request in turn.own)
    after_renewal = min(batches, 1 + int(turn.seconds / LEASE_RENEW_INTERVAL.total_seconds()))
    return after_renewal * CHECKPOINT_AFTER_RENEWAL + (batches - after_renewal) * CHECKPOINT
