"""The clients: they post, cancel, decide, delete and read, and repeat what was not answered."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TypeVar

from tests.domain.factories import OWNER, TRACE
from tests.simulation.fleet import Fleet
from tests.simulation.processes import CURRENT, Process, ProcessDiedError
from turnlog.domain.actions import Resolution, completed_outcome, denial
from turnlog.domain.chunks import Event
from turnlog.domain.errors import StoreUnavailableError, TurnlogError
from turnlog.domain.ids import MessageId, SessionId, TurnId
from turnlog.ports import TurnScheduler
from turnlog.services.fork import ForkRequest
from turnlog.services.log.idempotency import IdempotencyKey
from turnlog.services.log.stream import follow_events
from turnlog.services.turns.approvals import DecisionRequest
from turnlog.services.turns.cancelling import CancelRequest
from turnlog.services.turns.submit import NewMessage, Submission
from turnlog.wiring import Services

T = TypeVar("T")

_TIMEOUT = 30.0
_MAX_TRIES = 40


@dataclass
class Ledger:
    """What the clients know: their posts, what was acknowledged, unexpected errors, and what readers received."""

    contents: list[tuple[SessionId, str]] = field(default_factory=list[tuple[SessionId, str]])
    acknowledged: dict[MessageId, str] = field(default_factory=dict[MessageId, str])
    cancelled: set[TurnId] = field(default_factory=set[TurnId])
    deleted: set[SessionId] = field(default_factory=set[SessionId])
    forks: list[SessionId] = field(default_factory=list[SessionId])
    errors: list[str] = field(default_factory=list[str])
    readers: list["Reader"] = field(default_factory=list["Reader"])


@dataclass(frozen=True)
class Frontend:
    """Reaches the app through any process that serves HTTP."""

    fleet: Fleet
    rng: Random
    services_of: Callable[[Process], Services]
    scheduler_of: Callable[[Process], TurnScheduler]

    async def request(self, work: Callable[[Services, TurnScheduler], Awaitable[T]]) -> T:
        """Repeat `work` until it is answered.

        Raises:
            TurnlogError: it was refused, or was not answered for long.
        """
        for _ in range(_MAX_TRIES):
            process = self.fleet.pick("http")
            if process is not None:
                app, scheduler = self.services_of(process), self.scheduler_of(process)
                try:
                    return await process.call(lambda app=app, by=scheduler: _awaited(work(app, by)), _TIMEOUT)
                except (ProcessDiedError, StoreUnavailableError):
                    pass
            await asyncio.sleep(self.rng.uniform(0.2, 3))
        raise StoreUnavailableError("The client gave up.")


async def _awaited(work: Awaitable[T]) -> T:
    return await work


@dataclass
class User:
    """Uses one session until a time. It sends at most `requests` requests."""

    front: Frontend
    ledger: Ledger
    session: SessionId
    rng: Random
    pause: float
    may_delete: bool = False

    async def use(self, until: float, requests: int) -> None:
        loop = asyncio.get_running_loop()
        for number in range(requests):
            if loop.time() >= until or self.session in self.ledger.deleted:
                return
            chance = self.rng.random()
            if number == 0 or chance < 0.6:
                await self._attempt(self._post)
            elif chance < 0.75:
                await self._attempt(self._cancel)
            elif chance < 0.94:
                await self._attempt(self._decide)
            elif chance < 0.97:
                await self._attempt(self._fork)
            elif self.may_delete:
                await self._attempt(self._delete)
            await asyncio.sleep(self.rng.expovariate(1 / self.pause))

    async def decide_all(self) -> None:
        """Decide everything that waits for a decision, until cancelled."""
        while self.session not in self.ledger.deleted:
            await asyncio.sleep(self.rng.uniform(1, 15))
            await self._attempt(self._decide)

    async def _attempt(self, request: Callable[[], Awaitable[None]]) -> None:
        try:
            await request()
        except TurnlogError:
            pass  # refused: that is an answer
        except Exception as error:  # noqa: BLE001 - an oracle reports it
            self.ledger.errors.append(f"{type(error).__name__}: {error}")

    async def _post(self) -> None:
        content = f"message {len(self.ledger.contents)}"
        self.ledger.contents.append((self.session, content))
        key = IdempotencyKey(f"key-{self.session}-{content}", "body")
        on_busy = self.rng.choice(("enqueue", "enqueue", "reject", "interrupt", "steer"))
        new = NewMessage(content=content, trace_id=TRACE, on_busy=on_busy)

        async def submit(app: Services, scheduler: TurnScheduler) -> Submission:
            return await app.turns.submit(OWNER, self.session, new, scheduler, key)

        submission = await self.front.request(submit)
        self.ledger.acknowledged[submission.message.message_id] = content

    async def _cancel(self) -> None:
        request = CancelRequest(trace_id=TRACE, clears_queue=self.rng.random() < 0.2)
        receipt = await self.front.request(
            lambda app, scheduler: app.cancelling.cancel(OWNER, self.session, request, scheduler)
        )
        if receipt.status == "cancelling" and receipt.turn_id is not None:
            self.ledger.cancelled.add(receipt.turn_id)

    async def _decide(self) -> None:
        state = await self.front.request(lambda app, _: app.sessions.get(OWNER, self.session))
        actions = {} if state.active_turn is None else state.active_turn.open_actions
        for call_id, action in actions.items():
            if action.kind == "client_tool":
                resolution = Resolution("result", OWNER, outcome=completed_outcome("Ada"))
            else:
                approves = self.rng.random() < 0.8
                resolution = Resolution("approve", OWNER) if approves else denial(OWNER, "no")
            request = DecisionRequest({call_id: resolution}, TRACE)
            await self.front.request(
                lambda app, scheduler, request=request: app.approvals.decide(OWNER, self.session, request, scheduler)
            )

    async def _fork(self) -> None:
        key = IdempotencyKey(f"fork-{self.session}-{len(self.ledger.forks)}", "body")
        fork, _ = await self.front.request(lambda app, _: app.forks.fork(OWNER, self.session, ForkRequest(TRACE), key))
        self.ledger.forks.append(fork.session_id)

    async def _delete(self) -> None:
        await self.front.request(lambda app, _: app.sessions.delete(OWNER, self.session, TRACE))
        self.ledger.deleted.add(self.session)


@dataclass
class Reader:
    """Follows a session, loses its connection, and resumes after the last event that it received."""

    front: Frontend
    session: SessionId
    rng: Random
    received: list[Event] = field(default_factory=list[Event])
    connections: int = 0

    async def read(self) -> None:
        """Read until cancelled."""
        while True:
            self.connections += 1
            try:
                process = self.front.fleet.pick("http")
                if process is not None:
                    app, count = self.front.services_of(process), self.rng.choice((1, 5, 30, 10_000))
                    await process.call(lambda app=app, count=count: self._connect(app, count))
            except (ProcessDiedError, TurnlogError):
                pass
            await asyncio.sleep(self.rng.uniform(0.1, 2))

    async def _connect(self, app: Services, count: int) -> None:
        """Receive at most `count` batches over one connection, which begins at the reader's own cursor."""
        connection = self.connections
        after = self.received[-1].sequence if self.received else 0
        async with aclosing(follow_events(app.log, self.session, after, timedelta(seconds=5))) as batches:
            async for events in batches:
                await CURRENT.get().gate()
                if connection != self.connections:
                    return  # the client has connected again
                self._receive(events)
                count -= 1
                if count <= 0:
                    return

    def _receive(self, events: Sequence[Event]) -> None:
        self.received.extend(events)
