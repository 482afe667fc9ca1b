"""Schedules of the whole engine under faults, on both stores; `make chaos` runs thousands."""

import pytest

from tests.simulation import report
from tests.simulation.report import Kills, Total, Trial, describe, run_trials, table
from tests.simulation.schedule import run_schedule
from tests.simulation.world import Options, Store

STORES: tuple[Store, ...] = ("sqlite", "cosmos")


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("seed", range(1, 7))
def test_nothing_is_lost_under_faults(seed: int, store: Store) -> None:
    outcome = run_schedule(seed, store)

    assert not outcome.violations, describe(outcome)
    assert outcome.counts["events"] > 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("store", STORES)
def test_nothing_is_lost_in_a_hundred_schedules(store: Store) -> None:
    outcomes = [run_schedule(seed, store) for seed in range(101, 201)]

    assert not [describe(outcome) for outcome in outcomes if outcome.violations]


@pytest.mark.parametrize("store", STORES)
def test_a_next_release_that_writes_to_the_same_store_harms_nothing(store: Store) -> None:
    outcomes = [run_schedule(seed, store, Options(neighbours=True)) for seed in range(1, 4)]

    assert not [describe(outcome) for outcome in outcomes if outcome.violations]


@pytest.mark.parametrize("store", STORES)
def test_a_seed_is_one_schedule(store: Store) -> None:
    first, second = run_schedule(3, store), run_schedule(3, store)

    assert first == second


def test_the_table_has_a_line_for_each_store_and_one_for_the_real_kills() -> None:
    lines = table({"sqlite": Total(trials=3), "cosmos": Total(trials=4)}, Kills(66, 1)).splitlines()

    assert len({len(line) for line in lines}) == 1
    assert [line.split()[0] for line in lines] == ["trials", "sqlite", "cosmos", "kill"]
    assert lines[-1].split() == ["kill", "-9", "66", "1"]


@pytest.mark.slow
def test_trials_continue_in_new_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_TRIALS_OF_A_PROCESS", 1)

    totals = run_trials([Trial(seed, "sqlite", Options()) for seed in range(1, 6)], jobs=2)

    assert (totals["sqlite"].trials, totals["sqlite"].losses) == (5, [])
