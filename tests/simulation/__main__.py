"""Simulates the whole engine under faults: `python -m tests.simulation --help`."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.simulation.faults import PROFILES
from tests.simulation.report import Kills, Trial, default_jobs, endings, run_trials, table
from tests.simulation.world import Options, Store
from turnlog.agents.registry import AGENTS, load_agents

_STORES: dict[str, tuple[Store, ...]] = {"sqlite": ("sqlite",), "cosmos": ("cosmos",), "both": ("sqlite", "cosmos")}


def main() -> int:
    """Run the trials, print the table, and return 1 if something was lost."""
    load_agents(Path("examples/agents"))
    arguments = _parse()
    options = Options(
        large=arguments.large,
        neighbours=arguments.neighbours,
        profile=arguments.faults,
        agent=arguments.agent,
    )
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    trials = [Trial(seed, store, options) for seed in seeds for store in _STORES[arguments.store]]
    totals = run_trials(trials, min(arguments.jobs, len(trials)))
    kills: Kills | None = None
    if arguments.kill_kit:
        kills = _run_kill_kit()
    print(table(totals, kills))
    print(f"turns: {endings(totals)}")
    has_failed = kills is not None and (kills.failed > 0 or kills.trials == kills.failed)
    return int(has_failed or any(total.losses for total in totals.values()))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds; each is one schedule on each store")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--store", choices=_STORES, default="both")
    parser.add_argument("--faults", choices=[profile.name for profile in PROFILES], help="only these; else by the seed")
    parser.add_argument("--agent", choices=sorted(AGENTS), help="only sessions of this agent; else by the seed")
    parser.add_argument("--jobs", type=int, default=default_jobs(), help="how many processes (default: all cores)")
    parser.add_argument(
        "--kill-kit", action="store_true", help="also run the slow tests of tests/faults, which kill real processes"
    )
    parser.add_argument("--large", action="store_true", help="models write answers that are larger than a batch")
    parser.add_argument("--neighbours", action="store_true", help="the store has events and fields of a next release")
    return parser.parse_args()


def _run_kill_kit() -> Kills:
    """Run the tests that kill real processes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "slow", "tests/faults", f"--junit-xml={path}"]
        subprocess.run(command, check=False)
        suite = next(ET.parse(path).iter("testsuite"))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    return Kills(int(suite.get("tests", 0)) - int(suite.get("skipped", 0)), failed)


if __name__ == "__main__":
    sys.exit(main())
