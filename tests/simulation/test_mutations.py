"""Each oracle detects a program that breaks its rule."""

from collections.abc import Iterator

import pytest

from tests.simulation import attempt_oracles, oracles, project_oracles, sweeps, world
from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.schedule import Outcome, run_schedule

MAX_SEEDS = 60
QUICK = {"sequences have a gap", "some messages are not stored", "a piece is shortened", "the fold loses tokens"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "mutation",
    [
        pytest.param(each, marks=[] if each.name in QUICK else pytest.mark.slow, id=each.name.replace(" ", "-"))
        for each in MUTATIONS
    ],
)
def test_a_broken_rule_is_detected(mutation: Mutation) -> None:
    with mutation.applied():
        assert any(_detects(outcome, mutation.oracle) for outcome in _outcomes(mutation)), mutation.oracle


def _outcomes(mutation: Mutation) -> Iterator[Outcome]:
    for seed in range(1, MAX_SEEDS + 1):
        yield run_schedule(seed, "sqlite", mutation.options)
        yield run_schedule(seed, "cosmos", mutation.options)


def _detects(outcome: Outcome, oracle: str) -> bool:
    return any(violation.startswith(f"{oracle}: ") for violation in outcome.violations)


def test_each_oracle_has_a_mutation() -> None:
    modules = (attempt_oracles, oracles, project_oracles, sweeps, world)
    constants = [value for module in modules for name, value in vars(module).items() if name.isupper()]
    names = {each for each in constants if isinstance(each, str) and " " in each}

    assert {mutation.oracle for mutation in MUTATIONS} == names
