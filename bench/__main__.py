"""Measures the figures and prints them as a table: `python -m bench`."""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench.client import AnswerError
from bench.figures import SUBJECTS
from bench.load_driver import Bench, loop_factory
from bench.report import Figure, load, machine, plain, table
from bench.servers import StartError, host, model_server

_SUBJECT_SECONDS = 120
_FAILURES = (AnswerError, StartError, EOFError, OSError)


def main() -> None:
    arguments = _arguments()
    began, load_before = time.monotonic(), load()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            figures, failed = runner.run(_measure(arguments.only or list(SUBJECTS), quick=arguments.quick))
        except (KeyboardInterrupt, asyncio.CancelledError):
            sys.exit(130)
    taken = time.monotonic() - began
    where = f"{machine()}. Load {load_before} before, {load()} after; {taken:.0f} s{', quick' * arguments.quick}."
    text = f"{where} Medians, unless said otherwise.\n\n{table(figures)}\n"
    if arguments.write:
        arguments.write.write_text(text)
    print(json.dumps({"machine": where, "figures": plain(figures)}, indent=2) if arguments.json else text)
    if failed:
        sys.exit(f"could not measure {', '.join(failed)}: see above")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(SUBJECTS), help="measure this subject; may be given repeatedly"
    )
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and shorter histories")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the table to this file")
    return parser.parse_args()


async def _measure(subjects: list[str], *, quick: bool) -> tuple[list[Figure], list[str]]:
    """Measure the subjects on servers that end with this; return the figures and the subjects that failed."""
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    figures: list[Figure] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="turnlog-bench-") as scratch:
        async with model_server() as model, host(model.url, Path(scratch) / "host") as server:
            bench = Bench(model, server, Path(scratch), quick)
            for subject in subjects:
                print(f"measuring {subject} …", file=sys.stderr, flush=True)
                try:
                    async with asyncio.timeout(_SUBJECT_SECONDS):
                        figures += await SUBJECTS[subject](bench)
                except* _FAILURES as errors:
                    print(f"{subject} failed: {errors.exceptions!r}", file=sys.stderr, flush=True)
                    failed.append(subject)
    return figures, failed


if __name__ == "__main__":
    main()
