"""One process and two: whether a machine with two cores runs more turns in two processes, with a store each.

Two processes on one store cannot be faster than these, which share nothing. The driver spreads the sessions evenly.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

from bench.client import connected
from bench.figures.at_once import watch_turn
from bench.load_driver import Bench, open_sessions, run_at_once, run_turn
from bench.report import Figure
from bench.servers import Server, host

_PROCESSES = (1, 2)
_CLIENTS = 50
_LONG = (200, 400)
_WARM_UP = 50


class _Used(NamedTuple):
    """Processor time in seconds; `main` is that of the busiest main thread of the hosts."""

    hosts: float
    main: float
    others: float


async def measure(bench: Bench) -> list[Figure]:
    """Measure short turns in rounds that alternate between one process and two, then long ones once each."""
    rates: dict[int, list[tuple[float, str]]] = {number: [] for number in _PROCESSES}
    for round_ in range(bench.repeats(3, 1)):
        for number in _PROCESSES:
            async with AsyncExitStack() as stack:
                hosts = await _start(bench, stack, number, f"short-{round_}")
                rates[number].append(await _short(bench, hosts, 300))
    figures: list[Figure] = []
    for number, rounds in rates.items():
        rate, note = sorted(rounds)[len(rounds) // 2]
        figures.append(Figure(f"{_name(number)}, 50 tokens, {_CLIENTS} at once", rate, "turns/s", note=note))
    for at_once in _LONG[: bench.repeats(2, 1)]:
        for number in _PROCESSES:
            async with AsyncExitStack() as stack:
                figures += await _long(bench, await _start(bench, stack, number, f"long-{at_once}"), at_once)
    return figures


async def _start(bench: Bench, stack: AsyncExitStack, number: int, name: str) -> list[Server]:
    """Start the hosts and run their first turns."""
    folders = [bench.scratch / f"processes-{name}-{number}-{each}" for each in range(number)]
    hosts = [await stack.enter_async_context(host(bench.model.url, folder)) for folder in folders]
    await _run_on_all(hosts, _WARM_UP)
    return hosts


async def _short(bench: Bench, hosts: Sequence[Server], turns: int) -> tuple[float, str]:
    """Return the turns per second, and where the processor time went."""
    before, began = _used(bench, hosts), time.perf_counter()
    await _run_on_all(hosts, turns)
    seconds = time.perf_counter() - began
    return turns / seconds, _shares(before, _used(bench, hosts), seconds)


async def _long(bench: Bench, hosts: Sequence[Server], at_once: int) -> list[Figure]:
    sessions: list[tuple[str, str]] = []
    for server in hosts:
        async with connected(server.origin) as connection:
            sessions += [(server.origin, each) for each in await open_sessions(connection, at_once // len(hosts))]
    before, began = _used(bench, hosts), time.perf_counter()
    watched = await asyncio.gather(*(watch_turn(origin, session_id) for origin, session_id in sessions))
    note = _shares(before, _used(bench, hosts), time.perf_counter() - began)
    name = f"{_name(len(hosts))}, {at_once} turns of 200 tokens, 20/s"
    return [
        Figure(f"{name}: first text", statistics.median(each.first_text for each in watched), "s"),
        Figure(f"{name}: worst gap between two texts", max(each.worst_gap for each in watched), "s"),
        Figure(f"{name}: total", statistics.median(each.total for each in watched), "s", note=note),
    ]


async def _run_on_all(hosts: Sequence[Server], turns: int) -> None:
    """Run turns in new sessions, as many on each host."""
    async with asyncio.TaskGroup() as group:
        for server in hosts:
            group.create_task(_run_on(server, turns // len(hosts), _CLIENTS // len(hosts)))


async def _run_on(server: Server, turns: int, clients: int) -> None:
    async with connected(server.origin) as connection:
        sessions = await open_sessions(connection, turns)
    await run_at_once(server.origin, clients, sessions, run_turn)


def _name(processes: int) -> str:
    return f"{processes} process{'es' * (processes > 1)}"


def _used(bench: Bench, hosts: Sequence[Server]) -> _Used | None:
    """Return the processor time until now; None if the system has no /proc."""
    model = bench.model.cpu_seconds()
    if model is None:
        return None
    return _Used(
        sum(server.cpu_seconds() or 0 for server in hosts),
        max(server.main_thread_seconds() or 0 for server in hosts),
        model + time.process_time(),
    )


def _shares(before: _Used | None, after: _Used | None, seconds: float) -> str:
    if before is None or after is None:
        return ""
    hosts, main, others = (f"{100 * (end - begin) / seconds:.0f} %" for begin, end in zip(before, after, strict=True))
    return f"of a core: hosts {hosts}, the busiest main thread {main}, model and driver {others}"
