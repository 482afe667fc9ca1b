"""What the change feed's leases cost follows from the settings of the trigger and the published charges."""

import pytest

from bench.cost import leases
from bench.cost.requests import Request
from bench.cost.turns import Turn
from turnlog.changes.blueprint import LEASE_ACQUIRE_INTERVAL, LEASE_RENEW_INTERVAL, POLL_DELAY

READ, WRITE, TERM, QUERY = 1.0, 4.95, 0.2, 3.0  # published; a read at Strong costs twice as much
MONTH = 30 * 24 * 60 * 60


def test_a_renewal_is_a_read_and_a_replace_and_a_scan_is_a_query() -> None:
    renewals, scans = leases.LEASES

    assert renewals.charge == pytest.approx(2 * READ + 2 * WRITE + 2 * TERM)
    assert scans.charge == pytest.approx(2 * QUERY)


def test_an_idle_month_costs_a_renewal_and_a_scan_in_each_interval_of_the_trigger() -> None:
    renewals, scans = leases.LEASES

    assert renewals.interval == LEASE_RENEW_INTERVAL
    assert scans.interval == LEASE_ACQUIRE_INTERVAL
    assert leases.POLLS.interval == POLL_DELAY
    assert renewals.per_month == pytest.approx(MONTH / LEASE_RENEW_INTERVAL.total_seconds() * renewals.charge)
    assert scans.per_month == pytest.approx(MONTH / LEASE_ACQUIRE_INTERVAL.total_seconds() * scans.charge)
    assert renewals.per_second * MONTH == pytest.approx(renewals.per_month)


def test_the_price_of_quick_recovery_is_the_ratio_to_the_intervals_of_the_sdk() -> None:
    renewals, scans = leases.LEASES

    assert renewals.euros / renewals.default_euros == pytest.approx(17 / LEASE_RENEW_INTERVAL.total_seconds())
    assert scans.euros / scans.default_euros == pytest.approx(13 / LEASE_ACQUIRE_INTERVAL.total_seconds())


@pytest.mark.parametrize(
    ("writes", "seconds", "after_renewal"), [(1, 0.1, 1), (4, 0.1, 1), (45, 20.0, 5), (2, 60.0, 2)]
)
def test_a_checkpoint_takes_three_requests_after_a_renewal_and_else_one(
    writes: int, seconds: float, after_renewal: int
) -> None:
    one, three = 2 * WRITE + 4 * TERM, 2 * (2 * WRITE + 4 * TERM) + 2 * READ
    turn = Turn(before=(), own=[_request("write")] * writes + [_request("read")] * 3, reading=(), seconds=seconds)

    assert leases.checkpoints(turn) == pytest.approx(after_renewal * three + (writes - after_renewal) * one)


def _request(kind: str) -> Request:
    assert kind in ("read", "write")
    return Request(
        kind=kind, container="sessions", session_id="ses", status=201, strong=True, size=0, items=(), callers=()
    )
