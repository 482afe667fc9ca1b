"""Turn control: asking the running turn to stop, and taking back what waits."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from shared.domain.chunks import (
    Draft,
)
from shared.domain.documents import IdempotencyRecord
from shared.domain.errors import NotWaitingError
from shared.domain.ids import MessageId, SessionId, TurnId, turn_of
from shared.domain.session import SessionState
from shared.domain.turn import cancel_drafts, withdrawn_draft
from shared.ports import Clock, SessionLog, TurnScheduler, TurnStart
from shared.services.idempotency import IdempotencyKey
from shared.services.messages import Messages, load_messages
from shared.services.sessions import require_owned
from shared.services.turns.taking_up import start_of
from shared.services.writer import Decision, SessionWriter


@dataclass(frozen=True)
class CancelRequest:
    """What is asked of a cancel. `turn_id`: that turn and no other. `clears_queue`: withdraw what waits, too."""

    trace_id: str
    turn_id: TurnId | None = None
    reason: str | None = None
    clears_queue: bool = False


@dataclass(frozen=True)
class StopReceipt:
    """`idle`: nothing was running, or not the turn that was named, and nothing was done.

    `stops`: the turn was parked, and needs an instance to end it. `replayed`: it was asked before.
    """

    status: Literal["cancelling", "idle"]
    turn_id: TurnId | None = None
    message_id: MessageId | None = None
    stops: TurnStart | None = None
    replayed: bool = False


class Control:
    def __init__(self, log: SessionLog, clock: Clock, turn_timeout: timedelta) -> None:
        self._log = log
        self._clock = clock
        self._turn_timeout = turn_timeout
        self._messages = Messages(log)

    async def cancel(
        self, owner: str, session_id: SessionId, wish: CancelRequest, key: IdempotencyKey | None = None
    ) -> StopReceipt:
        """Ask a turn to stop: the one named, or the one active at first sight, and never the one after it.

        Raises:
            SessionNotFoundError, IdempotencyKeyReusedError
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        active = require_owned(await writer.load(), owner, session_id).active_turn
        wanted = wish.turn_id or (active.turn_id if active else None)
        if key is not None and wish.turn_id is None:
            # Who is first says which turn is meant: another request with this key must not stop what has begun since.
            meant = key.replayed(await self._log.claim(key.record(wanted or "")))
            wanted = wanted if meant is None else TurnId(meant)

        async def decide(state: SessionState) -> Decision[tuple[StopReceipt, bool]]:
            turn = require_owned(state, owner, session_id).active_turn
            if key is not None and (known := await self._log.get(IdempotencyRecord, session_id, key.id)) is not None:
                return Decision((_receipt(key.replayed(known), replayed=True), False))
            if turn is None or turn.turn_id != wanted:
                return Decision((_receipt(None), False))
            records = () if key is None else (key.record(turn.message_id),)
            return Decision((_receipt(turn.message_id), turn.parked), await self._stops(state, wish), records)

        receipt, takes_up = await writer.settle(decide)
        if (
            key is not None and receipt.status == "idle" and not receipt.replayed
        ):  # a retry must not stop what has begun since
            await self._log.put(session_id, key.record(""))
        return replace(receipt, stops=start_of(writer.state, self._turn_timeout)) if takes_up else receipt

    async def start(self, receipt: StopReceipt, scheduler: TurnScheduler) -> None:
        """Start the instance that ends a turn which had none. A death before this line is mended by the sweep."""
        if receipt.stops is not None:
            await scheduler.start(receipt.stops)

    async def _stops(self, state: SessionState, wish: CancelRequest) -> list[Draft]:
        turn = state.active_turn
        if turn is None:
            return []
        unread = () if wish.clears_queue else await load_messages(self._log, state.session_id, turn.unread)
        drafts = cancel_drafts(turn, unread, wish.reason, wish.trace_id)
        cleared = (*turn.unread, *state.queue) if wish.clears_queue else ()
        return [*drafts, *(withdrawn_draft(message_id, wish.trace_id) for message_id in cleared)]

    async def withdraw(self, owner: str, session_id: SessionId, message_id: MessageId, trace_id: str) -> None:
        """Take back a waiting message.

        Raises:
            SessionNotFoundError, MessageNotFoundError
            NotWaitingError: its turn has begun, or it was withdrawn before.
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        await writer.load()

        async def decide(state: SessionState) -> Decision[None]:
            if message_id not in require_owned(state, owner, session_id).queue:
                message = await self._messages.load(state, message_id)
                raise NotWaitingError(f"The message is {message.status}: only one that waits can be withdrawn.")
            return Decision(None, [withdrawn_draft(message_id, trace_id)])

        await writer.settle(decide)


def _receipt(message_id: str | None, *, replayed: bool = False) -> StopReceipt:
    """What is said of a cancel that asked the turn of a message to stop; without one, of a cancel that found none."""
    if not message_id:
        return StopReceipt("idle", replayed=replayed)
    return StopReceipt("cancelling", turn_of(MessageId(message_id)), MessageId(message_id), replayed=replayed)
