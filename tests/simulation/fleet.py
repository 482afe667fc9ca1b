"""The processes of the app, by role, and what befalls them."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Literal, TypeAlias

from tests.simulation.clock import VirtualLoop
from tests.simulation.faults import ACTIONS, OUTAGES, Network, Profile
from tests.simulation.processes import Process

Role: TypeAlias = Literal["host", "http", "worker", "timer"]

ONE_HOST: dict[Role, int] = {"host": 1}
"""As on one machine: a single process does everything."""
MANY_HOSTS: dict[Role, int] = {"http": 2, "worker": 2, "timer": 1}
"""As on Flex Consumption, where groups of functions scale separately."""


_GRACE_SECONDS = 30.0
"""How long a process that is asked to stop may finish what runs."""


class Fleet:
    """Starts a process for each place of a layout, and another one when it is gone.

    `on_start` prepares a new process, `on_death` and `on_takeover` learn what happened to an old one.
    """

    def __init__(
        self, loop: VirtualLoop, rng: Random, network: Network, profile: Profile, layout: dict[Role, int]
    ) -> None:
        self._loop = loop
        self._rng = rng
        self._network = network
        self._profile = profile
        self._places: list[tuple[Role, Process | None]] = []
        self._layout = layout
        self._started = 0
        self.counts: Counter[str] = Counter()
        self.outages: list[tuple[float, float]] = []
        self.processes: list[Process] = []
        self.on_start: Callable[[Process], None] = _ignore
        self.on_death: Callable[[Process], None] = _ignore
        self.on_takeover: Callable[[Process], None] = _ignore

    def start(self) -> None:
        for role, count in self._layout.items():
            for _ in range(count):
                self._places.append((role, self._new(role)))

    def pick(self, role: Role) -> Process | None:
        """A process of a role that is alive; None while there is none."""
        found = [process for own, process in self._places if process is not None and own in {role, "host"}]
        return self._rng.choice(found) if found else None

    def observe(self) -> None:
        """Start a process that sees the truth: nothing befalls it, and its requests never fail."""
        self.on_start(Process("observer", self._loop, None, self._rng))

    def outage_seconds(self, begin: float, end: float) -> float:
        """How many seconds between two times the store was unavailable."""
        return sum(max(0.0, min(end, until) - max(begin, since)) for since, until in self.outages)

    async def suffer(self, until: float) -> None:
        """Kill, freeze and cut off until a time; after it everything runs."""
        while sum(self._profile.weights):
            await asyncio.sleep(self._rng.uniform(*self._profile.pause))
            if self._loop.time() >= until:
                break
            (action,) = self._rng.choices(ACTIONS, self._profile.weights)
            match action:
                case "kill":
                    await self._kill(self._rng.randrange(len(self._places)))
                case "burst":
                    await self._kill_often()
                case "freeze":
                    await self._freeze(self._rng.randrange(len(self._places)))
                case "deploy":
                    await self._deploy()
                case _:
                    await self._cut_off(self._rng.choice(OUTAGES))
        self._network.heal()
        for process in self.processes:
            process.thaw()

    async def _kill_often(self) -> None:
        """Kill every process that runs activities, up to ten times, so that one step dies several times."""
        for _ in range(self._rng.randint(3, 10)):
            places = [index for index, (role, _) in enumerate(self._places) if role in {"worker", "host"}]
            await asyncio.gather(*(self._kill(index, 1.0) for index in places))
            await asyncio.sleep(self._rng.uniform(0.05, 2))

    async def _kill(self, index: int, max_pause: float = 6.0) -> None:
        role, process = self._places[index]
        if process is None:
            return
        self.counts["kills"] += 1
        process.kill()
        self._places[index] = role, None
        self.on_death(process)
        await asyncio.sleep(self._rng.uniform(0.1, max_pause))
        self._places[index] = role, self._new(role)

    async def _deploy(self) -> None:
        """Stop every process in turn, as a deployment does: it gets no new work, and what runs has some time."""
        self.counts["deployments"] += 1
        for index, (role, process) in enumerate(self._places):
            if process is not None:
                self._loop.call_later(_GRACE_SECONDS, self._end, process)
                self._places[index] = role, None
                await asyncio.sleep(self._rng.uniform(0.1, 6))
                self._places[index] = role, self._new(role)

    def _end(self, process: Process) -> None:
        if process.is_alive:
            process.kill()
            self.on_death(process)

    async def _freeze(self, index: int) -> None:
        """Freeze a process. Another one takes over, or none does."""
        role, process = self._places[index]
        if process is None or not process.is_running:
            return
        self.counts["freezes"] += 1
        process.freeze()
        self._loop.call_later(self._rng.uniform(1, 90), process.thaw)
        if self._rng.random() < 0.7:
            self._places[index] = role, None
            self.on_takeover(process)
            await asyncio.sleep(self._rng.uniform(0.1, 10))
            self._places[index] = role, self._new(role)

    async def _cut_off(self, seconds: float) -> None:
        self.counts[f"outages of {seconds:.0f} s"] += 1
        self._network.is_down = True
        since = self._loop.time()
        await asyncio.sleep(seconds)
        self._network.is_down = False
        self.outages.append((since, self._loop.time()))

    def _new(self, role: Role) -> Process:
        self._started += 1
        skew = self._rng.uniform(-self._profile.max_skew, self._profile.max_skew)
        process = Process(f"{role}{self._started}", self._loop, self._network, self._rng, skew)
        self.processes.append(process)
        self.on_start(process)
        return process


def _ignore(_: Process) -> None:
    pass
