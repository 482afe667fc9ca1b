"""List prices; check those of your region and your contract before you rely on the results.

Dollars, East US, one region, no discount; from public copies of the price lists in November 2026, because a program
cannot read the price pages themselves.
"""

from datetime import timedelta

EURO_PER_DOLLAR = 0.90
"""A rounded rate, not a quotation."""

MONTH = timedelta(days=30)

SERVERLESS_PER_MILLION_RU = 0.25  # azure.microsoft.com/pricing/details/cosmos-db/serverless
AUTOSCALE_PER_100_RUS_HOUR = 0.012  # azure.microsoft.com/pricing/details/cosmos-db/autoscale-provisioned
FLEX_PER_GB_SECOND = 0.000026  # azure.microsoft.com/pricing/details/functions; on demand, beyond the free grant
FLEX_PER_MILLION_EXECUTIONS = 0.40  # the same

INSTANCE_GB = 2  # INSTANCE_MEMORY of infra/
INSTANCE_SHARES = 100  # requests or activities that one instance may hold at once


def serverless(request_units: float) -> float:
    """Return the euros for so many request units."""
    return request_units / 1e6 * SERVERLESS_PER_MILLION_RU * EURO_PER_DOLLAR


def autoscale(request_units: float) -> float:
    """Return the euros for so many request units if all of the billed throughput is used, all the time."""
    return request_units / (100 * 3600) * AUTOSCALE_PER_100_RUS_HOUR * EURO_PER_DOLLAR


def functions(seconds: float, executions: int, *, shared_by: int) -> float:
    """Return the euros for an instance that runs code for `seconds`, shared by so many, and for its executions."""
    running = seconds * INSTANCE_GB / shared_by * FLEX_PER_GB_SECOND
    return (running + executions / 1e6 * FLEX_PER_MILLION_EXECUTIONS) * EURO_PER_DOLLAR
