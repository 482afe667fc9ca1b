"""Everything in one simulation, drawn from its seed: processes, store, model, and what is observed."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from types import ModuleType
from typing import Any, Literal, TypeAlias
from unittest import mock

from tests.simulation.clients import Frontend, Ledger
from tests.simulation.clock import VirtualLoop
from tests.simulation.cosmos_fake.account import CosmosAccount
from tests.simulation.durable import Deliveries, DurableClient, DurableService
from tests.simulation.faults import PROFILES, WEIGHTS, Network, Profile
from tests.simulation.fleet import MANY_HOSTS, ONE_HOST, Fleet
from tests.simulation.model import Habits, SimulatedModel
from tests.simulation.observations import Observations
from tests.simulation.processes import CURRENT, Process, SimulatedServices
from tests.simulation.sqlite_database import SqliteAccount
from turnlog import wiring
from turnlog.agents.context import ToolContext
from turnlog.agents.tools import Tool
from turnlog.domain.ids import SessionId
from turnlog.domain.project import Project
from turnlog.domain.session import SessionState
from turnlog.orchestrations import activities, timers
from turnlog.scheduler import DurableTurnScheduler
from turnlog.settings import Settings
from turnlog.wiring import Services

_MAX_VIOLATION = 1000
GAP_FREE = "the log has no gap"

Store: TypeAlias = Literal["sqlite", "cosmos"]


@dataclass(frozen=True)
class Options:
    """Which faults a simulation has.

    `large`: models write answers larger than a batch. `neighbours`: events and fields of a next release appear in the
    store. `profile`, `agent`: only faults or agents of this name.
    """

    large: bool = False
    neighbours: bool = False
    profile: str | None = None
    agent: str | None = None

    @property
    def flags(self) -> str:
        """The options as arguments of the command."""
        switches = ("large", "neighbours")
        named = [f"--{name.replace('_', '-')}" for name in switches if getattr(self, name)]
        values = [("--faults", self.profile), ("--agent", self.agent)]
        return " ".join([*named, *(f"{name} {value}" for name, value in values if value is not None)])


@dataclass
class World:
    """One simulation. `truth` reads the store at once and without faults.

    `rewritten`: the sessions to which a next release has written. `healed_at`: since when there are no faults.
    """

    seed: int
    options: Options
    rng: Random
    loop: VirtualLoop
    profile: Profile
    settings: Settings
    account: SqliteAccount | CosmosAccount
    network: Network
    fleet: Fleet
    durable: DurableService
    observations: Observations
    model: SimulatedModel
    ledger: Ledger = field(default_factory=Ledger)
    services: dict[Process, Services] = field(default_factory=dict[Process, Services])
    sessions: list[SessionId] = field(default_factory=list[SessionId])
    projects: list[Project] = field(default_factory=list[Project])
    violations: list[str] = field(default_factory=list[str])
    rewritten: set[SessionId] = field(default_factory=set[SessionId])
    healed_at: float | None = None

    @property
    def front(self) -> Frontend:
        return Frontend(self.fleet, self.rng, self.services.__getitem__, self.scheduler)

    @property
    def truth(self) -> Services:
        return self.services[self.observer]

    @property
    def observer(self) -> Process:
        return next(process for process in self.services if process.is_reliable)

    def scheduler(self, _: Process) -> DurableTurnScheduler:
        return DurableTurnScheduler(DurableClient(self.durable), self.settings)  # pyright: ignore[reportArgumentType]

    async def state(self, session: SessionId) -> SessionState | None:
        """The session as its log says. A log that cannot be folded is reported; then there is no state."""
        try:
            return await self.truth.log.state(session)
        except ValueError as error:
            self.report(GAP_FREE, str(error))
            return None

    def report(self, oracle: str, text: str) -> None:
        """Record that a rule was broken."""
        violation = f"{oracle}: {text}"[:_MAX_VIOLATION]
        if violation not in self.violations:
            self.violations.append(violation)


def new_world(seed: int, store: Store, options: Options, loop: VirtualLoop, account: SqliteAccount | None) -> World:
    """A world without sessions. `account` is the database of a world on SQLite."""
    rng = Random(f"{seed}-{store}")
    named = [each for each in PROFILES if each.name == options.profile]
    (profile,) = named or rng.choices(PROFILES, WEIGHTS)
    network = Network(rng, rng.choice(profile.losses), rng.choice(profile.losses))
    is_single = store == "sqlite" and rng.random() < 0.7
    fleet = Fleet(loop, rng, network, profile, ONE_HOST if is_single else MANY_HOSTS)
    observations = Observations()
    may_lose = bool(sum(profile.weights)) and not is_single
    deliveries = Deliveries(lambda: fleet.pick("worker"), may_lose, 0.05 if may_lose else 0.0)
    durable = DurableService(loop, rng, deliveries, observations)
    world = World(
        seed=seed,
        options=options,
        rng=rng,
        loop=loop,
        profile=profile,
        settings=_settings(store, rng),
        account=account or CosmosAccount(loop, rng),
        network=network,
        fleet=fleet,
        durable=durable,
        observations=observations,
        model=SimulatedModel(rng, observations, Habits(is_large=0.3 if options.large else 0.0)),
    )
    fleet.on_start = lambda process: _open(world, process)
    fleet.on_death = lambda _: durable.stall_some()
    fleet.on_takeover = durable.take_over
    fleet.observe()
    return world


def _open(world: World, process: Process) -> None:
    stores = world.account.open(process)
    world.services[process] = SimulatedServices(world.settings, stores, process, world.model)


def _settings(store: Store, rng: Random) -> Settings:
    values: dict[str, Any] = {
        "cosmos_endpoint": "https://account.invalid" if store == "cosmos" else None,
        "model": "simulated",
        "openai_base_url": "https://model.invalid/v1",
        "openai_api_key": "key",
        "delta_flush_ms": rng.choice(("15", "50,200", "100,200,400,500")),
        "turn_timeout_seconds": rng.choice((60, 300)),
        "approval_timeout": "90s",
        "model_max_silence_seconds": 45,
        "queue_limit": 4,
        "max_steps": 4,
    }
    return Settings(**values)


@contextmanager
def installed(world: World) -> Generator[None]:
    """While this is open, the functions of the app use the services of the process in which they run."""

    async def run(tool: Tool, arguments: str, context: ToolContext | None = None) -> Any:
        world.observations.add_tool_run(tool.name)
        await CURRENT.get().sleep(world.rng.choice((0.0, 0.02, 2.0, 10.0)))
        result = await original(tool, arguments, context)
        await CURRENT.get().sleep(world.rng.choice((0.0, 0.02)))
        return result

    def services() -> Services:
        return world.services[CURRENT.get()]

    original = Tool.run
    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(Tool, "run", run))
        for module in _users_of_services():
            patches.enter_context(mock.patch.object(module, "services", services))
        if isinstance(world.account, CosmosAccount):
            patches.enter_context(world.account.clients())
        yield


def _users_of_services() -> list[ModuleType]:
    found = [module for module in (activities, timers) if getattr(module, "services", None) is wiring.services]
    assert len(found) == 2, "activities and timers get their services from the composition root"
    return found
