"""Attempts at a step or a tool call: which execution may begin one, and how long it may continue."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from turnlog.domain.chunks import Chunk, Event
from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.events import Delta, EventData, Outside, TokenUsage, ToolCallComplete, ToolCallStart
from turnlog.domain.ids import SessionId
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import Lease, Message
from turnlog.domain.turn import MAX_CRASHES, Fence, Permission
from turnlog.domain.turn_events import turn_drafts
from turnlog.domain.values import Failure
from turnlog.ports import Clock, SessionLog
from turnlog.services.log.stream import follow_events
from turnlog.services.log.writer import Decision, SessionWriter

_FOLLOW_TIMEOUT = timedelta(seconds=5)
_FIRST_CHECK = timedelta(seconds=1)
_PAGE = 20

PermissionOf: TypeAlias = Callable[[SessionState], Permission]

POISONED = Failure(
    code="attempt_poisoned",
    message=f"The last {MAX_CRASHES} attempts ended their process, without a trace of an answer.",
)


@dataclass(frozen=True)
class AttemptRequest:
    """One attempt that an instance is to make: at the model call of a step, or at the tool call `call_id`.

    `last_step`: the model may not request tools any more. `calls_before`: how often earlier attempts called the model.
    """

    session_id: SessionId
    fence: Fence
    step: int
    attempt: int
    deadline: datetime
    last_step: bool = False
    call_id: str | None = None
    calls_before: int = 0

    def new_writer(self, log: SessionLog, clock: Clock) -> SessionWriter:
        """The writer of an execution of this attempt. It waits for the store as long as the turn may take."""
        return SessionWriter(log, clock, self.session_id, hold_until=self.deadline)

    def seconds_left(self, now: datetime) -> float:
        """Seconds until the turn's deadline; never negative."""
        return max(0.0, (self.deadline - now).total_seconds())


async def claim_attempt(
    log: SessionLog, writer: SessionWriter, permission_of: PermissionOf, start: EventData
) -> Permission:
    """Append `start` if this execution may begin the attempt. Only ACT permits it to act.

    While another execution of the same attempt is working, this one follows the log until the other has an outcome.
    """

    async def decide(state: SessionState) -> Decision[Permission]:
        permission = permission_of(state)
        if permission is not Permission.BEGIN or state.active_turn is None:
            return Decision(permission)
        return Decision(Permission.ACT, turn_drafts(state.active_turn, start))

    while (permission := await writer.transact(decide)) is Permission.FOLLOW:
        await writer.hold(lambda: _wait_for_events(log, writer))
    return permission


async def _wait_for_events(log: SessionLog, writer: SessionWriter) -> None:
    async with aclosing(follow_events(log, writer.session_id, writer.state.head, _FOLLOW_TIMEOUT)) as batches:
        async for events in batches:
            if events:
                break
    await writer.load()


async def load_active_message(log: SessionLog, state: SessionState, fence: Fence) -> Message:
    """The message of the turn that `fence` names, as it is stored now."""
    turn = fence.turn_in(state)
    message = None if turn is None else await log.get(Message, state.session_id, turn.message_id)
    if message is None:
        raise ValueError(f"session {state.session_id}: the message of turn {fence.turn_id} is missing")
    return message


class Guard:
    """Follows the log while an attempt works, and renews the attempt's lease while it appends nothing."""

    def __init__(self, log: SessionLog, clock: Clock, writer: SessionWriter, renew_lease_after: timedelta) -> None:
        self._log = log
        self._clock = clock
        self._writer = writer
        self._renew_lease_after = renew_lease_after
        self._read_to = writer.state.head
        self._alive_at = clock.now()

    @asynccontextmanager
    async def watch(
        self, may_continue: Callable[[SessionState], bool], stop: Callable[[], object]
    ) -> AsyncGenerator[None]:
        """While the body runs, call `stop` once the log says that the attempt may not continue."""
        following = asyncio.create_task(self._follow(may_continue, stop))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])

    async def _follow(self, may_continue: Callable[[SessionState], bool], stop: Callable[[], object]) -> None:
        while True:
            # While the store is unavailable, the work continues, and so does this.
            with suppress(StoreUnavailableError):
                await self._wait_for_stop(may_continue)
                stop()
                return
            await asyncio.sleep(1)

    async def _wait_for_stop(self, may_continue: Callable[[SessionState], bool]) -> None:
        timeout = self._renew_lease_after / 2
        with self._log.watch(self._writer.session_id, polls=False) as tail:
            chunks = await tail.wait(self._read_to, min(timeout, _FIRST_CHECK), self._is_own)
            while True:
                for chunk in chunks or await self._read_missed():
                    events = [event for event in chunk.events if event.sequence > self._read_to]
                    self._read_to = max(self._read_to, chunk.last)
                    is_relevant = not self._is_own(chunk) and any(map(_is_relevant, events))
                    if is_relevant and not await self._is_allowed(may_continue):
                        return
                await self._renew_lease()
                chunks = await tail.wait(self._read_to, timeout, self._is_own)

    def _is_own(self, chunk: Chunk) -> bool:
        """Whether this attempt appended `chunk`: it then knew that it may continue."""
        return chunk.writer == self._writer.id

    async def _read_missed(self) -> Sequence[Chunk]:
        """Read the chunks that the wait did not return, or none if this writer appended: it then knows the state."""
        known = self._writer.state.head
        if known > self._read_to:
            self._read_to = known
            return ()
        return await self._log.read(self._writer.session_id, self._read_to, _PAGE)

    async def _is_allowed(self, may_continue: Callable[[SessionState], bool]) -> bool:
        state = await self._log.state(self._writer.session_id)
        return state is not None and may_continue(state)

    async def _renew_lease(self) -> None:
        self._alive_at = max(self._alive_at, self._writer.appended_at)
        if self._clock.now() - self._alive_at >= self._renew_lease_after:
            await self._log.put(self._writer.session_id, Lease(id=self._writer.id))
            self._alive_at = self._clock.now()


def _is_relevant(event: Event) -> bool:
    """Whether a working attempt may have to stop because of `event`."""
    match event.data:
        case ToolCallStart(attempt=number):
            return number > 1  # a first attempt replaces no other
        case data:
            return not isinstance(data, Delta | ToolCallComplete | TokenUsage | Outside)
