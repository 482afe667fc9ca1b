"""Several tool calls in one step: how much longer a turn with ten takes than a turn with one."""

import statistics

from bench.client import connected
from bench.load_driver import Bench, open_sessions, run_turn
from bench.report import Figure, summary

_WARM_UP = 5
_CALL = 'call calculate {"expression": "6*7"}'


async def measure(bench: Bench) -> list[Figure]:
    """Run turns with one call and turns with ten calls alternately, each in its own session."""
    one: list[float] = []
    ten: list[float] = []
    async with connected(bench.host.origin) as host:
        sessions = await open_sessions(host, 2 * (_WARM_UP + bench.repeats(60, 20)))
        for single, many in zip(sessions[::2], sessions[1::2], strict=True):
            one.append((await run_turn(host, single, content=_CALL)).total)
            ten.append((await run_turn(host, many, content=" and ".join([_CALL] * 10))).total)
    one, ten = one[_WARM_UP:], ten[_WARM_UP:]
    return [
        summary("turn with one tool call: total", one, "ms"),
        summary("turn with ten tool calls at once: total", ten, "ms"),
        Figure("nine more tool calls add", statistics.median(ten) - statistics.median(one), "ms", goal_max=15),
    ]
