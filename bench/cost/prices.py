"""List prices, to be looked up for your region and your contract before you believe them.

Dollars, East US, one region, no discount; looked up in public copies of the price lists in November 2026, since the
price pages themselves are not to be read by a program.
"""

from datetime import timedelta

EURO_PER_DOLLAR = 0.90
"""A round rate, no quotation."""

MONTH = timedelta(days=30)

SERVERLESS_PER_MILLION_RU = 0.25  # azure.microsoft.com/pricing/details/cosmos-db/serverless
AUTOSCALE_PER_100_RUS_HOUR = 0.012  # azure.microsoft.com/pricing/details/cosmos-db/autoscale-provisioned
FLEX_PER_GB_SECOND = 0.000026  # azure.microsoft.com/pricing/details/functions; on demand, beyond the free grant
FLEX_PER_MILLION_EXECUTIONS = 0.40  # the same

INSTANCE_GB = 2  # INSTANCE_MEMORY of infra/
INSTANCE_SHARES = 100  # requests or activities that one instance may hold at once


def serverless(request_units: float) -> float:
    """Euros for so many request units."""
    return request_units / 1e6 * SERVERLESS_PER_MILLION_RU * EURO_PER_DOLLAR


def autoscale(request_units: float) -> float:
    """Euros for so many request units where the throughput that is billed is used to the full, all the time."""
    return request_units / (100 * 3600) * AUTOSCALE_PER_100_RUS_HOUR * EURO_PER_DOLLAR


def functions(seconds: float, executions: int, *, shared_by: int) -> float:
    """Euros for an instance that runs code for so long, which so many share, and for its executions."""
    running = seconds * INSTANCE_GB / shared_by * FLEX_PER_GB_SECOND
    return (running + executions / 1e6 * FLEX_PER_MILLION_EXECUTIONS) * EURO_PER_DOLLAR
