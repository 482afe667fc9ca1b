"""The faults: what the network to the store does, and what happens to processes, drawn from the seed."""

from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from typing import NamedTuple

OUTAGES = (5.0, 12.0, 20.0, 60.0)
"""How long an outage of the store may last, in seconds."""


class Kind(Enum):
    """What the client of a store notices of a fault."""

    RESET = auto()
    TIMEOUT = auto()
    THROTTLED = auto()
    UNAVAILABLE = auto()
    GONE = auto()
    RETRY_WITH = auto()


class RequestFault(NamedTuple):
    """A fault of one request. `is_done`: the store carried it out. `seconds`: after how long the sender notices."""

    kind: Kind
    is_done: bool
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.kind.name.lower()}{' after commit' if self.is_done else ''}"


@dataclass
class Network:
    """The way to the store. `before` and `after` are the shares of lost requests and of lost replies."""

    rng: Random
    before: float = 0.0
    after: float = 0.0
    is_down: bool = False
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def latency(self) -> float:
        """Seconds of one way."""
        return self.rng.expovariate(1 / 0.006)

    def draw(self) -> RequestFault | None:
        """The fault of the next request, if it has one."""
        if self.is_down:
            return self._counted(RequestFault(self.rng.choice(_WHILE_DOWN), False, self.rng.choice((0.01, 0.05, 2.0))))
        chance = self.rng.random()
        if chance < self.before:
            return self._counted(RequestFault(self.rng.choice(list(Kind)), False, 0.01))
        if chance > 1 - self.after:
            return self._counted(RequestFault(Kind.RESET, True, self.rng.choice((0.01, 0.3))))
        return None

    def heal(self) -> None:
        self.before = self.after = 0.0
        self.is_down = False

    def _counted(self, fault: RequestFault) -> RequestFault:
        name = "lost replies" if fault.is_done else "requests refused"
        self.counts[name] = self.counts.get(name, 0) + 1
        return fault


_WHILE_DOWN = (Kind.RESET, Kind.UNAVAILABLE, Kind.TIMEOUT)


@dataclass(frozen=True)
class Profile:
    """Which faults a schedule has. The weights are those of `kill`, `burst`, `freeze`, `outage` and `deploy`.

    `pause`: the seconds between two of them. `losses`: the shares of lost requests and of lost replies.
    """

    name: str
    weights: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    pause: tuple[float, float] = (2.0, 30.0)
    losses: tuple[float, ...] = (0.0,)
    max_skew: float = 0.0


PROFILES = (
    Profile("calm"),
    Profile("kills", (3, 1, 0, 0, 0)),
    Profile("freezes", (1, 0, 4, 0, 0), max_skew=1.0),
    Profile("outages", (0, 0, 0, 1, 0), (1.0, 40.0)),
    Profile("deployments", (0, 0, 0, 0, 1), (1.0, 40.0)),
    Profile("losses", losses=(0.05, 0.15), max_skew=1.0),
    Profile("everything", (3, 1, 3, 2, 1), losses=(0.0, 0.02, 0.1), max_skew=2.0),
)
ACTIONS = ("kill", "burst", "freeze", "outage", "deploy")
WEIGHTS = (1, 3, 3, 3, 1, 2, 6)
"""How often each profile is drawn."""
