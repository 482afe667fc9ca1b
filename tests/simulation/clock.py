"""Virtual time: an event loop that never waits, clocks with a skew, and randomness from a seed."""

import asyncio
import random
import secrets
import selectors
import time
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

EPOCH = datetime(2027, 1, 1, tzinfo=UTC)
"""The time at which every simulation begins."""


def moment(seconds: float) -> datetime:
    """The date and time `seconds` after the beginning."""
    return EPOCH + timedelta(seconds=seconds)


class DeadlockError(Exception):
    """Every task waits, and no timer is set: nothing would ever happen again."""


class _NoSelector(selectors.SelectSelector):
    """Reports no input, and moves the time on by as long as it would have waited."""

    advance: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError
        self.advance(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer. Work for threads is done at once, in this thread."""

    def __init__(self) -> None:
        selector = _NoSelector()
        super().__init__(selector)
        self._now = 0.0
        selector.advance = self._advance

    def _advance(self, seconds: float) -> None:
        self._now += max(0.0, seconds)

    def time(self) -> float:
        return self._now

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - the caller gets it
            future.set_exception(error)
        return future


@dataclass
class SkewedClock:
    """The clock of one process: the true time and a constant error, in seconds."""

    loop: VirtualLoop
    skew: float = 0.0

    def now(self) -> datetime:
        return moment(self.loop.time() + self.skew)


@contextmanager
def virtual_time(seed: int) -> Generator[VirtualLoop]:
    """A virtual loop. While it is open, the time of this process is the loop's, and random ids come from `seed`.

    At the end all tasks are cancelled and the loop is closed.
    """
    loop, rng = VirtualLoop(), random.Random(seed)
    begin = EPOCH.timestamp()

    def now() -> float:
        return begin + loop.time()

    def token_hex(size: int) -> str:
        return f"{rng.getrandbits(8 * size):0{2 * size}x}"

    def system_random() -> random.Random:
        return rng

    replaced = [
        mock.patch.object(time, "time", now),
        mock.patch.object(time, "monotonic", loop.time),
        mock.patch.object(secrets, "token_hex", token_hex),
        mock.patch.object(secrets, "randbits", rng.getrandbits),
        mock.patch.object(secrets, "SystemRandom", system_random),
    ]
    for each in replaced:
        each.start()
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        _cancel_all(loop)
        asyncio.set_event_loop(None)
        loop.close()
        for each in replaced:
            each.stop()


def _cancel_all(loop: VirtualLoop) -> None:
    loop.set_exception_handler(_ignore)
    for _ in range(20):  # a cancelled task may begin another one
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks, timeout=1))


def _ignore(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What tasks raise when they are cancelled concerns nobody."""
