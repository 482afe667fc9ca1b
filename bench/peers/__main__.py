"""Measures Turnlog beside its peers and prints two tables: `python -m bench.peers`.

It installs the peers beside the project first, from PyPI and npm. Each system runs alone, one after the other, several
times, all with one model server and one driver.
"""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

from bench.client import AnswerError
from bench.load_driver import loop_factory
from bench.peers.environment import InstallError, versions
from bench.peers.measuring import FEW, MANY, Plan, Result, measure_round, render
from bench.peers.systems import SYSTEMS, System
from bench.report import load, machine
from bench.servers import Server, StartError, model_server

_FULL, _QUICK = Plan(rounds=3, single=60, at_once=200), Plan(rounds=1, single=20, at_once=60)
_ROUND_SECONDS = 120


def main() -> None:
    arguments = _arguments()
    plan = _QUICK if arguments.quick else _FULL
    began, load_before = time.monotonic(), load()
    systems = [system for system in SYSTEMS if install(system)]
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            results = runner.run(_measure(systems, plan))
        except (KeyboardInterrupt, asyncio.CancelledError):
            sys.exit(130)
    where = f"{machine()}; {versions()}. Load {load_before} before, {load()} after; {time.monotonic() - began:.0f} s."
    how = f"Medians of {plan.rounds * plan.single} turns of 50 tokens one by one, and of {plan.rounds} rounds of "
    how += f"{plan.at_once} turns at {FEW} and at {MANY} at once, each in a new session."
    text = f"{where} {how}\n\n{render(results)}\n"
    if arguments.write:
        arguments.write.write_text(text)
    print(text)
    if missing := [system.name for system in SYSTEMS if system not in results]:
        sys.exit(f"could not measure {'; '.join(missing)}: see above")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of few turns")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the tables to this file")
    return parser.parse_args()


def install(system: System) -> bool:
    try:
        for step in system.install:
            step()
    except InstallError as error:
        print(f"{system.name} is left out: {error}", file=sys.stderr, flush=True)
        return False
    return True


async def _measure(systems: list[System], plan: Plan) -> dict[System, Result]:
    """Measure all systems in each round, so that other load on the machine affects all alike."""
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    results = {system: Result() for system in systems}
    async with model_server() as model:
        for number in range(plan.rounds):
            for system in list(results):
                print(f"round {number + 1} of {plan.rounds}: {system.name} …", file=sys.stderr, flush=True)
                if not await _try_round(system, model, plan, results[system]):
                    del results[system]
    return results


async def _try_round(system: System, model: Server, plan: Plan, result: Result) -> bool:
    failed = False
    try:
        async with asyncio.timeout(_ROUND_SECONDS):
            await measure_round(system, model, plan, result)
    except* (AnswerError, StartError, EOFError, OSError) as errors:
        print(f"{system.name} failed: {errors.exceptions!r}", file=sys.stderr, flush=True)
        failed = True
    return not failed


if __name__ == "__main__":
    main()
