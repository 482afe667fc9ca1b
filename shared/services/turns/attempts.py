"""Attempts at a step or a tool call: who may begin one, and how long one may go on."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta

from shared.domain.chunks import Chunk, Draft, Event
from shared.domain.documents import Lease, Message
from shared.domain.errors import StoreUnavailableError
from shared.domain.events import (
    EventData,
    MessageDelta,
    Outside,
    TokenUsage,
    ToolCallComplete,
    ToolCallStart,
)
from shared.domain.session import SessionState
from shared.domain.turn import Fence, Standing
from shared.ports import Clock, SessionLog
from shared.services.stream import follow_events
from shared.services.writer import Decision, SessionWriter

_FIRST_LOOK = timedelta(seconds=1)
_READ_AT_ONCE = 20

StandingOf = Callable[[SessionState], Standing]


async def claim_attempt(log: SessionLog, writer: SessionWriter, standing: StandingOf, start: EventData) -> Standing:
    """Append `start` if this execution may begin the attempt: only MINE permits acting.

    `writer` has read the session. While another execution of the same attempt is at it, this one follows the log until
    that has an outcome.
    """

    async def decide(state: SessionState) -> Decision[Standing]:
        now = standing(state)
        return Decision(Standing.MINE, turn_drafts(state, start)) if now is Standing.BEGIN else Decision(now)

    while (found := await writer.settle(decide)) is Standing.FOLLOW:
        await _news(log, writer)
    return found


async def _news(log: SessionLog, writer: SessionWriter) -> None:
    patience = timedelta(seconds=5)
    async with aclosing(follow_events(log, writer.session_id, writer.state.head, patience)) as batches:
        async for events in batches:
            if events:
                break
    await writer.load()


def turn_drafts(state: SessionState, *data: EventData) -> list[Draft]:
    """Events of the active turn."""
    turn = state.active_turn
    if turn is None:
        raise ValueError("No turn is active.")
    return [Draft(data=item, turn_id=turn.turn_id, message_id=turn.message_id, trace_id=turn.trace_id) for item in data]


async def load_active_message(log: SessionLog, state: SessionState, fence: Fence) -> Message:
    """The message whose turn `fence` holds, as it is kept now."""
    turn = fence.turn_in(state)
    message = None if turn is None else await log.get(Message, state.session_id, turn.message_id)
    if message is None:
        raise ValueError(f"session {state.session_id}: the message of turn {fence.turn_id} is missing")
    return message


class Guard:
    """Listens to the log beside an attempt's work, and says that the attempt lives when its work is silent."""

    def __init__(self, log: SessionLog, clock: Clock, writer: SessionWriter, lease_after: timedelta) -> None:
        self._log = log
        self._clock = clock
        self._writer = writer
        self._lease_after = lease_after
        self._heard = writer.state.head
        self._said = clock.now()

    @asynccontextmanager
    async def over_work(
        self, still_standing: Callable[[SessionState], bool], stop: Callable[[], object]
    ) -> AsyncGenerator[None]:
        """While the body works: call `stop` once the log says that it shall not go on."""
        listening = asyncio.create_task(self._listen(still_standing, stop))
        try:
            yield
        finally:
            listening.cancel()
            await asyncio.wait([listening])

    async def _listen(self, still_standing: Callable[[SessionState], bool], stop: Callable[[], object]) -> None:
        while True:
            # The work itself meets the store's trouble when it appends; until then go on listening.
            with suppress(StoreUnavailableError):
                if await self._heard_stop(still_standing):
                    stop()
                    return
            await asyncio.sleep(1)

    async def _heard_stop(self, still_standing: Callable[[SessionState], bool]) -> bool:
        session_id, patience = self._writer.session_id, self._lease_after / 2
        with self._log.watch(session_id, eager=False) as tail:
            chunks = await tail.wait(self._heard, min(patience, _FIRST_LOOK))
            while True:
                for chunk in chunks or await self._missed():
                    news = [event for event in chunk.events if event.sequence > self._heard]
                    self._heard = max(self._heard, chunk.last)
                    if any(map(_may_stop, news)) and not await self._stands(still_standing):
                        return True
                await self._renew_lease()
                chunks = await tail.wait(self._heard, patience)

    async def _missed(self) -> Sequence[Chunk]:
        """What the log holds that nobody has told; it is not asked when the work has appended, and so knows itself."""
        known = self._writer.state.head
        if known > self._heard:
            self._heard = known
            return ()
        return await self._log.read(self._writer.session_id, self._heard, _READ_AT_ONCE)

    async def _stands(self, still_standing: Callable[[SessionState], bool]) -> bool:
        state = await self._log.state(self._writer.session_id)
        return state is not None and still_standing(state)

    async def _renew_lease(self) -> None:
        self._said = max(self._said, self._writer.appended_at)
        if self._clock.now() - self._said >= self._lease_after:
            await self._log.put(self._writer.session_id, Lease(id=self._writer.id))
            self._said = self._clock.now()


def _may_stop(event: Event) -> bool:
    """Whether an attempt that is at work may have to stop for `event`: not for what happens beside it."""
    match event.data:
        case ToolCallStart(attempt=number):
            return number > 1  # a first attempt takes nothing over
        case data:
            return not isinstance(data, MessageDelta | ToolCallComplete | TokenUsage | Outside)
