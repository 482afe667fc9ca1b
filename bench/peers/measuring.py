"""Rounds of turns on each system in alternation, and the tables of what came out."""

import math
import statistics
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.client import Connection, connected
from bench.load_driver import Timing, run_at_once
from bench.peers.systems import MODEL_ALONE, TURNLOG, System
from bench.report import format_number, p95
from bench.servers import Server

FEW, MANY = 10, 50
_WARM_UP = 30


@dataclass(frozen=True)
class Plan:
    """How many rounds, and how many turns of a round run one by one, and how many at once."""

    rounds: int
    single: int
    at_once: int


@dataclass
class Result:
    """The turns of one system that ran one by one, and its turns per second in each round."""

    timings: list[Timing] = field(default_factory=list[Timing])
    few: list[float] = field(default_factory=list[float])
    many: list[float] = field(default_factory=list[float])

    @property
    def total(self) -> float:
        return statistics.median(timing.total for timing in self.timings)


async def measure_round(system: System, model: Server, plan: Plan, result: Result) -> None:
    """Start `system`, warm it up, measure a round, end it: nothing else runs at that time."""

    async def work(connection: Connection, _: int) -> None:
        await system.run(connection, _new_id())

    with tempfile.TemporaryDirectory(prefix="turnlog-peers-") as folder:
        async with system.start(model, Path(folder)) as origin:
            await run_at_once(origin, FEW, range(_WARM_UP), work)
            async with connected(origin) as connection:
                result.timings += [await system.run(connection, _new_id()) for _ in range(plan.single)]
            result.few.append(await run_at_once(origin, FEW, range(plan.at_once), work))
            result.many.append(await run_at_once(origin, MANY, range(plan.at_once), work))


def _new_id() -> str:
    return f"ses-{uuid.uuid4().hex}"


def render(results: dict[System, Result]) -> str:
    """Return the tables of figures and of promises as Markdown."""
    per_second, ratios = f"turns/s, {FEW} · {MANY} at once", "Turnlog's turns/s to them"
    figures = [("system", "first event", "first token", "whole turn", "to the model alone", per_second, ratios)]
    figures += [("---",) * 7]
    figures += [_figures(system, results) for system in results]
    promises = [
        ("system", "a turn whose process is killed", "streams tokens", "a reader that comes back"),
        ("---",) * 4,
    ]
    promises += [(system.name, system.after_kill, system.streams, system.resumes) for system in results]
    return "\n".join([*map(_row, figures), "", *map(_row, promises)])


def _figures(system: System, results: dict[System, Result]) -> tuple[str, ...]:
    result = results[system]
    alone, turnlog = results.get(MODEL_ALONE), results.get(TURNLOG)
    few, many = statistics.median(result.few), statistics.median(result.many)
    to_alone = f"{format_number(result.total / alone.total)} times" if alone else "none"
    ratios = "none"
    if turnlog and turnlog is not result:
        ratios = f"{statistics.median(turnlog.few) / few:.2f} · {statistics.median(turnlog.many) / many:.2f}"
    return (
        system.name,
        _milliseconds([timing.first_event for timing in result.timings]),
        _milliseconds([timing.first_token for timing in result.timings]),
        _milliseconds([timing.total for timing in result.timings]),
        to_alone,
        f"{format_number(few)} · {format_number(many)}",
        ratios,
    )


def _milliseconds(values: Sequence[float]) -> str:
    """Return the median and the 95th percentile; none for a system that has no such event."""
    if math.isnan(values[0]):
        return "none"
    slow = p95(values)
    return f"{format_number(statistics.median(values))} ms" + (f" (p95 {format_number(slow)})" if slow else "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
