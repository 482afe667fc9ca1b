"""A turn alone: its first event, its first token and its end, compared with the model server's."""

import statistics
from collections.abc import Sequence

from bench.client import connected
from bench.load_driver import Bench, Timing, ask_model, open_sessions, run_turn
from bench.report import Figure, summary

_WARM_UP = 20


async def measure(bench: Bench) -> list[Figure]:
    """Run turns, each in its own session; after each, ask the model server itself the same."""
    alone: list[Timing] = []
    turns: list[Timing] = []
    async with connected(bench.host.origin) as host, connected(bench.model.origin) as model:
        sessions = await open_sessions(host, _WARM_UP + bench.repeats(300, 100))
        for session_id in sessions:
            turns.append(await run_turn(host, session_id))
            alone.append(await ask_model(model))
    return [*_figures(turns[_WARM_UP:], alone[_WARM_UP:])]


def _figures(turns: Sequence[Timing], alone: Sequence[Timing]) -> list[Figure]:
    first = [timing.first_event for timing in turns]
    token = [timing.first_token for timing in turns]
    total = [timing.total for timing in turns]
    first_alone = [timing.first_event for timing in alone]
    total_alone = [timing.total for timing in alone]
    return [
        summary("model server alone, 50 tokens: first event", first_alone, "ms"),
        summary("model server alone, 50 tokens: total", total_alone, "ms"),
        summary("turn of 50 tokens: first event", first, "ms", goal_max=4, note=_ratio(first, first_alone)),
        summary("turn of 50 tokens: first token", token, "ms"),
        summary("turn of 50 tokens: total", total, "ms", goal_max=10, note=_ratio(total, total_alone)),
    ]


def _ratio(values: Sequence[float], alone: Sequence[float]) -> str:
    return f"{statistics.median(values) / statistics.median(alone):.1f} times the model server alone"
