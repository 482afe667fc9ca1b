"""Runs many schedules, on all cores, and prints a table of trials, faults and losses."""

import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulation.schedule import Outcome, run_schedule
from tests.simulation.world import Options, Store
from turnlog.agents.registry import load_agents

_FAULTS = ("kills", "freezes", "deployments", "outages", "requests refused", "lost replies")
_TRIALS_OF_A_PROCESS = 1000
_MAX_SHOWN = 20


@dataclass(frozen=True)
class Trial:
    """One schedule to run."""

    seed: int
    store: Store
    options: Options


@dataclass
class Total:
    """What came of all schedules on one store. `losses` are those that broke a rule."""

    trials: int = 0
    counts: Counter[str] = field(default_factory=Counter[str])
    losses: list[Outcome] = field(default_factory=list[Outcome])

    def add(self, outcome: Outcome) -> None:
        self.trials += 1
        self.counts.update(outcome.counts)
        if outcome.violations:
            self.losses.append(outcome)


def run_trials(trials: Sequence[Trial], jobs: int) -> dict[Store, Total]:
    """Run `trials` in `jobs` processes, and print each loss and the progress."""
    totals: dict[Store, Total] = {trial.store: Total() for trial in trials}
    began = time.monotonic()
    for done, outcome in enumerate(_outcomes(trials, jobs), 1):
        totals[outcome.store].add(outcome)
        if outcome.violations:
            print(f"\n{describe(outcome)}", flush=True)
        _show_progress(done, len(trials), time.monotonic() - began)
    return totals


def describe(outcome: Outcome) -> str:
    """The broken rules of a schedule, and the command that runs it again."""
    rules = "\n".join(f"  {violation}" for violation in outcome.violations[:_MAX_SHOWN])
    again = (
        f"python -m tests.simulation --first {outcome.seed} --seeds 1 --store {outcome.store} {outcome.flags}".rstrip()
    )
    return f"seed {outcome.seed} on {outcome.store} ({outcome.profile}):\n{rules}\n  again: {again}"


@dataclass(frozen=True)
class Kills:
    """The tests that kill real processes: how many ran, and how many of them failed."""

    trials: int
    failed: int


def table(totals: dict[Store, Total], kills: Kills | None = None) -> str:
    """One line for each store, and one for the real kills, if there were any."""
    head = ("trials", "schedules", *_FAULTS, "turns", "events", "reconnections", "losses")
    rows: list[Sequence[str]] = [head, *(_row(store, total) for store, total in totals.items())]
    if kills is not None:
        rows.append(("kill -9", str(kills.trials), *[""] * (len(head) - 3), str(kills.failed)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def endings(totals: dict[Store, Total]) -> str:
    """How the turns ended."""
    counts: Counter[str] = Counter()
    for total in totals.values():
        counts.update({name: count for name, count in total.counts.items() if name.startswith("end ")})
    return ", ".join(f"{count} {name.removeprefix('end ')}" for name, count in counts.most_common())


def _row(store: Store, total: Total) -> list[str]:
    counts = Counter(total.counts)
    counts["outages"] = sum(count for name, count in counts.items() if name.startswith("outages of"))
    names = (*_FAULTS, "turns", "events", "reconnections")
    return [store, str(total.trials), *(str(counts[name]) for name in names), str(len(total.losses))]


def _outcomes(trials: Sequence[Trial], jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(_run, trials)
        return
    # Spawned, so that each process imports the app on its own. They end after many trials, to give memory back: all of
    # them, because a pool with `max_tasks_per_child` may wait for ever (github.com/python/cpython/issues/115634).
    context = multiprocessing.get_context("spawn")
    for first in range(0, len(trials), jobs * _TRIALS_OF_A_PROCESS):
        with ProcessPoolExecutor(jobs, context, initializer=load_agents, initargs=(Path("examples/agents"),)) as pool:
            yield from pool.map(_run, trials[first : first + jobs * _TRIALS_OF_A_PROCESS], chunksize=5)


def _run(trial: Trial) -> Outcome:
    try:
        return run_schedule(trial.seed, trial.store, trial.options)
    except Exception as error:
        error.add_note(f"seed {trial.seed} on {trial.store}")
        raise


def _show_progress(done: int, total: int, seconds: float) -> None:
    step = 1 if sys.stderr.isatty() else max(1, total // 20)
    if done % step == 0 or done == total:
        end = "\r" if sys.stderr.isatty() and done < total else "\n"
        print(f"{done} of {total} schedules, {60 * done / seconds:.0f} a minute", end=end, file=sys.stderr, flush=True)


def default_jobs() -> int:
    return os.cpu_count() or 1
