"""Processes that can be killed and frozen, and their requests to the store, which can be lost on the way."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from random import Random
from typing import Any, TypeVar

from tests.simulation.clock import SkewedClock, VirtualLoop
from tests.simulation.faults import Network, RequestFault
from turnlog.settings import Settings
from turnlog.stores import Stores
from turnlog.wiring import Services

T = TypeVar("T")

CURRENT: ContextVar["Process"] = ContextVar("process")
"""The process in which a task runs."""


class ProcessDiedError(Exception):
    """The process was killed before it answered."""


class RequestLostError(Exception):
    """A request did not arrive: nothing was done. `fault` says what the sender notices."""

    def __init__(self, fault: RequestFault) -> None:
        super().__init__(fault.name)
        self.fault = fault


class ReplyLostError(Exception):
    """A request was carried out, and its reply did not arrive."""


class Process:
    """Code that runs until it is killed.

    A process without a network reaches the store at once and without faults.
    A process acts only through its requests. So killing it means that no request leaves it any more and that no reply
    reaches it; a request on its way may still arrive. While it is frozen, its requests and replies wait.
    """

    def __init__(self, name: str, loop: VirtualLoop, network: Network | None, rng: Random, skew: float = 0.0) -> None:
        self.name = name
        self.loop = loop
        self.clock = SkewedClock(loop, skew)
        self.died_at: float | None = None
        self.frozen_since: float | None = None
        self.frozen_seconds = 0.0
        self._network = network
        self._rng = rng
        self._never: asyncio.Future[None] = loop.create_future()
        self._death: asyncio.Future[None] = loop.create_future()
        self._thawed = asyncio.Event()
        self._thawed.set()

    @property
    def is_reliable(self) -> bool:
        """Whether its requests take no time and never fail."""
        return self._network is None

    @property
    def is_alive(self) -> bool:
        return self.died_at is None

    @property
    def is_running(self) -> bool:
        return self.died_at is None and self.frozen_since is None

    def kill(self) -> None:
        if self.is_alive:
            self.thaw()
            self.died_at = self.loop.time()
            self._death.set_result(None)

    def freeze(self) -> None:
        if self.is_running:
            self.frozen_since = self.loop.time()
            self._thawed.clear()

    def thaw(self) -> None:
        if self.frozen_since is not None:
            self.frozen_seconds += self.loop.time() - self.frozen_since
            self.frozen_since = None
            self._thawed.set()

    async def gate(self) -> None:
        """Return when the process may act; never if it is dead."""
        while not self._thawed.is_set():
            await self._thawed.wait()
        if not self.is_alive:
            # Waiting for one future that the process holds: a task that nothing refers to would be collected.
            await asyncio.shield(self._never)

    async def sleep(self, seconds: float) -> None:
        """Wait, as the process would."""
        await self.gate()
        await asyncio.sleep(seconds)
        await self.gate()

    async def request(self, apply: Callable[[], T]) -> T:
        """Send a request to the store, which carries it out by `apply`.

        Raises:
            RequestLostError, ReplyLostError
        """
        network = self._network
        if network is None:
            return apply()
        await self.gate()
        try:
            await asyncio.sleep(network.latency())
        except asyncio.CancelledError:
            if self._rng.random() < 0.5:  # it has left already
                self.loop.call_later(network.latency(), _apply_unanswered, apply)
            raise
        if not self.is_alive and self._rng.random() < 0.5:
            await self.gate()  # it died before the request left
        fault = network.draw()
        if fault is not None and not fault.is_done:
            await self.sleep(fault.seconds)
            raise RequestLostError(fault)
        result = apply()
        if fault is not None or self._rng.random() < 0.5:
            await asyncio.sleep(network.latency() if fault is None else fault.seconds)
        await self.gate()
        if fault is not None:
            raise ReplyLostError
        return result

    async def call(self, work: Callable[[], Coroutine[Any, Any, T]], timeout: float | None = None) -> T:
        """Run `work` in this process, for a caller outside.

        Raises:
            ProcessDiedError: it was killed in between, or did not answer within `timeout` seconds; `work` may continue.
        """
        if not self.is_alive:
            raise ProcessDiedError(self.name)
        running = self.loop.create_task(self._run(work))
        running.add_done_callback(_retrieve_error)
        await asyncio.wait([running, self._death], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not self.is_alive or not running.done():
            raise ProcessDiedError(self.name)
        return running.result()

    async def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        CURRENT.set(self)
        result = await work()
        await self.gate()
        return result


class SimulatedServices(Services):
    """The services of one process, with the simulated model."""

    def __init__(self, settings: Settings, stores: Stores, process: Process, model: Any) -> None:
        super().__init__(settings, stores)
        self.clock = process.clock
        self._simulated_model = model

    async def model(self) -> Any:
        return self._simulated_model


def _apply_unanswered(apply: Callable[[], object]) -> None:
    with suppress(Exception):  # there is nobody to whom the store could answer
        apply()


def _retrieve_error(ended: asyncio.Task[Any]) -> None:
    if not ended.cancelled():
        ended.exception()
