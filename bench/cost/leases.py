"""The cost of the change feed's leases: computed, because the Functions host sends their requests, not a client here.

The requests are those of the SDK on which the trigger is built: github.com/Azure/azure-cosmos-dotnet-v3, folder
`Microsoft.Azure.Cosmos/src/ChangeFeedProcessor`. A function has one lease for each physical partition (range).

- A renewal reads the lease and replaces it, with If-Match: `FeedManagement/LeaseRenewerCore.cs`,
  `LeaseManagement/DocumentServiceLeaseManagerCosmos.cs`.
- A scan is a query by each instance for all leases of the function, to find those that have expired:
  `FeedManagement/PartitionLoadBalancerCore.cs`, `LeaseManagement/DocumentServiceLeaseContainerCosmos.cs`.
- A checkpoint follows each batch. It replaces the lease that the checkpointer has in memory, with If-Match. If there
  was a renewal since the last checkpoint, this is refused; then it reads the lease and replaces it:
  `FeedProcessing/AutoCheckpointer.cs`, `LeaseManagement/DocumentServiceLeaseUpdaterCosmos.cs`.
- A poll reads the feed: at once after a batch, else after the poll delay: `FeedProcessing/FeedProcessorCore.cs`.
"""

from dataclasses import dataclass
from datetime import timedelta

from bench.cost import prices
from bench.cost.charges import STRONG_QUERY, replace_charge, strong_read_charge
from bench.cost.turns import Turn
from turnlog.changes.blueprint import LEASE_ACQUIRE_INTERVAL, LEASE_RENEW_INTERVAL, POLL_DELAY

_LEASE_BYTES = 512
"""Approximate: every item smaller than 1 KB is charged as 1 KB."""

# Every property of a lease is indexed. A renewal changes its timestamp, a checkpoint its continuation token as well.
CHECKPOINT = replace_charge(_LEASE_BYTES, changed=2)
CHECKPOINT_AFTER_RENEWAL = CHECKPOINT + strong_read_charge(_LEASE_BYTES) + CHECKPOINT
"""The refused write is charged as if it succeeded, as in `charges.Meter`; it probably costs less."""


@dataclass(frozen=True)
class Repeated:
    """A request that a trigger repeats, also without changes. `default_interval` is the SDK's; euros are serverless."""

    title: str
    charge: float
    interval: timedelta
    default_interval: timedelta

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
    def default_euros(self) -> float:
        """For a month, with the SDK's own interval."""
        return prices.serverless(self.charge * (prices.MONTH / self.default_interval))


# The SDK's intervals: `Configuration/ChangeFeedLeaseOptions.cs` and `Configuration/ChangeFeedProcessorOptions.cs`.
LEASES = (
    Repeated(
        "renewal, for each range and function",
        strong_read_charge(_LEASE_BYTES) + replace_charge(_LEASE_BYTES, changed=1),
        interval=LEASE_RENEW_INTERVAL,
        default_interval=timedelta(seconds=17),
    ),
    Repeated(
        "scan, for each instance and function",
        STRONG_QUERY,
        interval=LEASE_ACQUIRE_INTERVAL,
        default_interval=timedelta(seconds=13),
    ),
)
# There is no published charge for a poll that finds no change: it is charged as the smallest read.
POLLS = Repeated(
    "look at the feed, for each range and function",
    strong_read_charge(0),
    interval=POLL_DELAY,
    default_interval=timedelta(seconds=5),
)


def checkpoints(turn: Turn) -> float:
    """Return the request units of one function's checkpoints for a turn that runs alone, if each write is a batch.

    That is the maximum: writes within one poll delay share a batch, and so do those of turns that run at the same time.
    """
    batches = sum(request.kind == "write" for request in turn.own)
    after_renewal = min(batches, 1 + int(turn.seconds / LEASE_RENEW_INTERVAL.total_seconds()))
    return after_renewal * CHECKPOINT_AFTER_RENEWAL + (batches - after_renewal) * CHECKPOINT
