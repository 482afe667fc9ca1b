"""Runs a mixed load for a long time and shows whether memory, handles and files level off: `python -m bench.soak`.

Clients open sessions and let turns run in them: short and long ones, with tools, cancelled ones, ones whose reader
leaves and resumes, and ones that other readers watch. Others append events, read histories and lists. Each session is
deleted after its turns, so the sessions at one time stay about the same.
"""

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.client import AnswerError, Connection, Frame, connected
from bench.load_driver import append_events, next_frame, open_session, run_turn, start_turn
from bench.report import load, machine
from bench.servers import PROC, Server, host, model_server

_SHORT, _LONG, _ENDLESS = "fake-50-5", "fake-200-50", "fake-5000-20"
_TOOLS = 'call calculate {"expression": "6*7"} and call calculate {"expression": "7*8"}'
_TURNS_OF_A_SESSION = 6
_MEGABYTE = 1 << 20


@dataclass
class _Load:
    """What the clients have done, and how long the first event of the short turns took, in milliseconds."""

    done: Counter[str] = field(default_factory=Counter[str])
    failed: Counter[str] = field(default_factory=Counter[str])
    first_events: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class _Sample:
    """The host at one moment. Sizes are in megabytes."""

    minute: float
    turns: int
    failed: int
    first_event: float
    memory: float
    handles: int
    threads: int
    sessions_file: float
    log_file: float
    task_hub: float


async def _short(connection: Connection, session_id: str, load: _Load) -> None:
    load.first_events.append((await run_turn(connection, session_id, _SHORT)).first_event)


async def _with_tools(connection: Connection, session_id: str, _: _Load) -> None:
    await run_turn(connection, session_id, _SHORT, _TOOLS)


async def _long_and_watched(connection: Connection, session_id: str, _: _Load) -> None:
    """A turn that three readers watch; each of them leaves once and resumes behind what it has seen."""
    turn_id = await start_turn(connection, session_id, _LONG)
    async with asyncio.TaskGroup() as group:
        for _reader in range(3):
            group.create_task(_leave_and_resume(connection.origin, session_id, turn_id))


async def _leave_and_resume(origin: str, session_id: str, turn_id: str) -> None:
    async with connected(origin) as reader:
        await reader.begin_stream("GET", f"/sessions/{session_id}/stream")
        seen = await next_frame(reader, lambda frame: _is(frame, "message.delta", turn_id))
    async with connected(origin) as reader:
        await reader.begin_stream("GET", f"/sessions/{session_id}/stream?after={seen.id}")
        await next_frame(reader, lambda frame: _is(frame, "run.complete", turn_id))


def _is(frame: Frame, event: str, turn_id: str) -> bool:
    return frame.event == event and f'"{turn_id}"' in frame.data


async def _cancelled(connection: Connection, session_id: str, _: _Load) -> None:
    turn_id = await start_turn(connection, session_id, _ENDLESS)
    async with connected(connection.origin) as reader:
        await reader.begin_stream("GET", f"/sessions/{session_id}/stream")
        await next_frame(reader, lambda frame: _is(frame, "message.delta", turn_id))
        await connection.ask("POST", f"/sessions/{session_id}/cancel", {}, expect=202)
        await next_frame(reader, lambda frame: _is(frame, "run.complete", turn_id))


async def _events_and_lists(connection: Connection, session_id: str, _: _Load) -> None:
    await append_events(connection, session_id, 100)
    await connection.ask("GET", f"/sessions/{session_id}/events?limit=100")
    await connection.ask("GET", f"/sessions/{session_id}/messages")
    await connection.ask("GET", "/sessions?limit=50")


_WORK: dict[str, tuple[float, Callable[[Connection, str, _Load], Awaitable[None]]]] = {
    "short": (0.4, _short),
    "with tools": (0.2, _with_tools),
    "long, three readers that resume": (0.15, _long_and_watched),
    "cancelled": (0.15, _cancelled),
    "events and lists": (0.1, _events_and_lists),
}


def main() -> None:
    arguments = _arguments()
    if not PROC.is_dir():
        sys.exit("the host's memory and handles can be read only where there is /proc")
    asyncio.run(_run(arguments.minutes, arguments.clients, arguments.pause))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long (60)")
    parser.add_argument("--clients", type=int, default=12, help="how many clients at once (12)")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two turns of a client (0.5)")
    return parser.parse_args()


async def _run(minutes: float, clients: int, pause: float) -> None:
    scratch, began = Path(tempfile.mkdtemp(prefix="turnlog-soak-")), time.monotonic()
    samples: list[_Sample] = []
    load_now = _Load()
    print(f"{machine()}. {clients} clients, {minutes:g} minutes. Load {load()}.\n\n{_HEAD}", flush=True)
    try:
        async with model_server() as model, host(model.url, scratch) as server:
            tasks = [asyncio.create_task(_client(server.origin, pause, load_now)) for _ in range(clients)]
            try:
                while (passed := time.monotonic() - began) < 60 * minutes:
                    await asyncio.sleep(min(60, 60 * minutes - passed))
                    samples.append(_sample(server, scratch, load_now, (time.monotonic() - began) / 60))
                    if len(samples) % max(1, round(minutes / 12)) == 0:
                        print(_row(samples[-1]), flush=True)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(_summary(samples, load_now))


async def _client(origin: str, pause: float, load_now: _Load) -> None:
    while True:
        try:
            async with connected(origin) as connection:
                session_id = await open_session(connection)
                for _ in range(_TURNS_OF_A_SESSION):
                    await _work(connection, session_id, load_now)
                    await asyncio.sleep(pause)
                await connection.ask("DELETE", f"/sessions/{session_id}", expect=204)
        except (AnswerError, OSError, EOFError) as error:
            load_now.failed[f"{type(error).__name__}: {error}"[:200]] += 1


async def _work(connection: Connection, session_id: str, load_now: _Load) -> None:
    names, weights = list(_WORK), [weight for weight, _ in _WORK.values()]
    (name,) = random.choices(names, weights)
    await _WORK[name][1](connection, session_id, load_now)
    load_now.done[name] += 1


def _sample(server: Server, scratch: Path, load_now: _Load, minute: float) -> _Sample:
    first_events, load_now.first_events[:] = list(load_now.first_events), []
    process = PROC / str(server.process.pid)
    return _Sample(
        minute=minute,
        turns=load_now.done.total(),
        failed=load_now.failed.total(),
        first_event=statistics.median(first_events) if first_events else 0,
        memory=(server.memory_bytes() or 0) / _MEGABYTE,
        handles=sum(1 for _ in (process / "fd").iterdir()),
        threads=sum(1 for _ in (process / "task").iterdir()),
        sessions_file=_megabytes(scratch, "sessions.db"),
        log_file=_megabytes(scratch, "sessions.db-wal"),
        task_hub=_megabytes(scratch, "*.taskhub.db"),
    )


def _megabytes(folder: Path, pattern: str) -> float:
    return sum(path.stat().st_size for path in folder.glob(pattern)) / _MEGABYTE


_HEAD = (
    "| minute | turns | failed | first event, ms | memory, MB | handles | threads | sessions.db, MB | its log, MB "
    "| task hub, MB |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def _row(sample: _Sample) -> str:
    sizes = f"{sample.sessions_file:.1f} | {sample.log_file:.1f} | {sample.task_hub:.1f}"
    counts = f"{sample.turns} | {sample.failed} | {sample.first_event:.1f}"
    return f"| {sample.minute:.0f} | {counts} | {sample.memory:.0f} | {sample.handles} | {sample.threads} | {sizes} |"


def _summary(samples: list[_Sample], load_now: _Load) -> str:
    """The medians of the second and of the last third, the kinds of work done, and the failures."""
    third = len(samples) // 3
    lines = ["", "| median of | memory, MB | handles | sessions.db, MB |", "| --- | --- | --- | --- |"]
    for name, part in (("the second third", samples[third : 2 * third]), ("the last third", samples[2 * third :])):
        memory, handles, size = (
            statistics.median(getattr(sample, each) for sample in part or samples)
            for each in ("memory", "handles", "sessions_file")
        )
        lines.append(f"| {name} | {memory:.1f} | {handles:.0f} | {size:.1f} |")
    lines += ["", ", ".join(f"{count} {name}" for name, count in load_now.done.most_common())]
    lines += [f"failed {count} times: {text}" for text, count in load_now.failed.most_common(10)]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
