"""One schedule: clients, faults, a quiet time in which everything ends, and what the oracles find then."""

import asyncio
import gc
import hashlib
import logging
import traceback
from collections import Counter
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.domain.factories import OWNER, TRACE
from tests.simulation.clients import Reader, User
from tests.simulation.clock import virtual_time
from tests.simulation.neighbours import check_neighbours, write_as_next_release
from tests.simulation.oracles import check
from tests.simulation.processes import CURRENT
from tests.simulation.sqlite_database import SqliteAccount
from tests.simulation.sweeps import Sweeps
from tests.simulation.world import Options, Store, World, installed, new_world

FAULTS_SECONDS = 90.0
"""How long there are faults, at the maximum."""
ENDS = "the schedule ends"
_MAX_QUIET_SECONDS = 4000.0


@dataclass(frozen=True)
class Outcome:
    """What came of a schedule. `flags`: its options as arguments. `digest` is the same for every run of it."""

    seed: int
    store: Store
    profile: str
    flags: str
    violations: tuple[str, ...]
    counts: Counter[str]
    digest: str


def run_schedule(seed: int, store: Store, options: Options | None = None) -> Outcome:
    """Run the schedule of `seed` on `store`."""
    options = options or Options()
    account = SqliteAccount() if store == "sqlite" else None
    with ExitStack() as resources:
        level = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        resources.callback(logging.disable, level)
        gc.disable()  # it would run the last lines of abandoned tasks at any time
        resources.callback(gc.enable)
        loop = resources.enter_context(virtual_time(seed))
        world = new_world(seed, store, options, loop, account)
        resources.callback(world.account.close)
        resources.enter_context(installed(world))
        try:
            counts = loop.run_until_complete(_run(world))
        except Exception as error:  # noqa: BLE001 - whatever it is, this schedule has found it
            place = traceback.format_exception(error, limit=-3)
            world.report(ENDS, f"{type(error).__name__}: {error}\n{''.join(place)}")
            counts = Counter[str]()
        digest = hashlib.sha256(repr((sorted(counts.items()), world.violations)).encode()).hexdigest()[:12]
        return Outcome(seed, store, world.profile.name, options.flags, tuple(world.violations), counts, digest)


async def _run(world: World) -> Counter[str]:
    CURRENT.set(world.observer)
    await _create_sessions(world)
    world.fleet.start()
    sweeps = Sweeps(world)
    readers = [Reader(world.front, session, world.rng) for session in world.sessions]
    background = [_spawn(sweeps.run()), *(_spawn(reader.read()) for reader in readers)]
    users = [
        User(world.front, world.ledger, session, world.rng, world.rng.choice((0.5, 3.0, 10.0)), index > 0)
        for index, session in enumerate(world.sessions)
        for _ in range(world.rng.choice((1, 2)))
    ]
    if world.options.neighbours:
        background.append(_spawn(write_as_next_release(world)))
    background += [_spawn(user.decide_all()) for user in users if world.rng.random() < 0.4]
    until = world.rng.choice((20.0, FAULTS_SECONDS))
    await asyncio.gather(world.fleet.suffer(until), *(user.use(until, world.rng.randint(2, 5)) for user in users))
    world.network.heal()
    world.healed_at = world.loop.time()
    await _wait_until_idle(world, background)
    await _wait_until_cleared(world)
    world.ledger.readers = readers
    await _wait_for_readers(world)
    for task in background:
        task.cancel()
    if world.options.neighbours:
        check_neighbours(world)
    return await check(world, sweeps.runs)


async def _create_sessions(world: World) -> None:
    app = world.truth
    for _ in range(world.rng.choice((1, 2))):
        agent = world.options.agent or world.rng.choice(("assistant", "assistant", "raffle", "vibecoder"))
        fields: dict[str, Any] = {"agent_name": agent}
        if agent == "vibecoder":
            project, _ = await app.projects.create(OWNER, "project")
            world.projects.append(project)
            fields["project_id"] = project.id
        state, _ = await app.sessions.create(OWNER, fields, None, TRACE)
        world.sessions.append(state.session_id)


async def _wait_until_idle(world: World, background: list[asyncio.Task[None]]) -> None:
    end = world.loop.time() + _MAX_QUIET_SECONDS
    while world.loop.time() < end:
        states = [await world.state(session) for session in world.sessions]
        if all(state is None or state.deleted or not (state.active_turn or state.queue) for state in states):
            return
        for task in background:
            if task.done():
                task.result()
        await asyncio.sleep(5.0)


async def _wait_until_cleared(world: World) -> None:
    """If a session was deleted, wait until the sweep has to have cleared it."""
    if world.ledger.deleted:
        await asyncio.sleep(world.settings.timings.clear_after.total_seconds() + 120)


async def _wait_for_readers(world: World) -> None:
    """Wait until the readers have had time to receive everything."""
    for _ in range(30):
        states = {session: await world.state(session) for session in world.sessions}
        heads = {session: 0 if state is None else state.head for session, state in states.items()}
        if all(len(reader.received) >= heads[reader.session] for reader in world.ledger.readers):
            return
        await asyncio.sleep(1.0)


def _spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work)
