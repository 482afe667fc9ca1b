"""Many turns at once: how many end in a second, and how much processor time of the host one takes."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from bench.client import Connection, connected
from bench.load_driver import Bench, ask_model, open_sessions, run_at_once, run_turn
from bench.report import Figure

_FEW, _MANY = 10, 50


class _Round(NamedTuple):
    model_alone: float
    few: float
    many: float
    cpu_ms: float | None


async def measure(bench: Bench) -> list[Figure]:
    """Measure in rounds, so that other load on the machine affects all three alike; the first round only warms up."""
    rounds = [await _round(bench, bench.repeats(300, 150)) for _ in range(1 + bench.repeats(5, 2))][1:]
    alone = statistics.median(each.model_alone for each in rounds)
    few = statistics.median(each.few for each in rounds)
    many = statistics.median(each.many for each in rounds)
    note = f"the model server alone answers {alone / many:.0f} times as many"
    figures = [
        Figure(f"model server alone, {_MANY} at once", alone, "answers/s"),
        Figure(f"turns of 50 tokens, {_FEW} at once", few, "turns/s", goal_min=120),
        Figure(f"turns of 50 tokens, {_MANY} at once", many, "turns/s", goal_min=120, note=note),
    ]
    return figures + _cpu([each.cpu_ms for each in rounds if each.cpu_ms is not None])


def _cpu(values: Sequence[float]) -> list[Figure]:
    return [Figure("host's processor time per turn", statistics.median(values), "ms")] if values else []


async def _round(bench: Bench, count: int) -> _Round:
    async def answer(connection: Connection, _: int) -> None:
        await ask_model(connection)

    async with connected(bench.host.origin) as connection:
        sessions = await open_sessions(connection, 2 * count)
    alone = await run_at_once(bench.model.origin, _MANY, range(count), answer)
    before = bench.host.cpu_seconds()
    few = await run_at_once(bench.host.origin, _FEW, sessions[:count], run_turn)
    many = await run_at_once(bench.host.origin, _MANY, sessions[count:], run_turn)
    after = bench.host.cpu_seconds()
    used = None if before is None or after is None else 1000 * (after - before) / (2 * count)
    return _Round(alone, few, many, used)
