"""Stopping what was submitted: a cancel asks the running turn to stop, a withdrawal removes a waiting message."""

from dataclasses import dataclass
from typing import Literal

from turnlog.domain.chunks import Draft
from turnlog.domain.errors import NotWaitingError
from turnlog.domain.ids import MessageId, SessionId, TurnId, turn_of
from turnlog.domain.session import ActiveTurn, SessionState, require_owned
from turnlog.domain.turn_events import cancel_drafts, withdrawn_draft
from turnlog.ports import Clock, SessionLog, TurnScheduler
from turnlog.services.log.idempotency import IdempotencyKey
from turnlog.services.log.writer import Decision, SessionWriter
from turnlog.services.messages import Messages, load_messages


@dataclass(frozen=True)
class CancelRequest:
    """What a cancel asks for. `turn_id`: only that turn. `clears_queue`: also withdraw the waiting messages."""

    trace_id: str
    turn_id: TurnId | None = None
    reason: str | None = None
    clears_queue: bool = False


@dataclass(frozen=True)
class Cancellation:
    """The result of a cancel.

    `idle`: nothing was running, or not the named turn, and nothing was done. `starts_instance`: the turn was parked and
    needs an instance that ends it. `replayed`: an earlier request with the same key cancelled.
    """

    status: Literal["cancelling", "idle"]
    turn_id: TurnId | None = None
    message_id: MessageId | None = None
    starts_instance: bool = False
    replayed: bool = False


_IDLE = Cancellation("idle")


class Cancelling:
    def __init__(self, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._messages = Messages(log)

    async def cancel(
        self,
        owner: str,
        session_id: SessionId,
        request: CancelRequest,
        scheduler: TurnScheduler,
        key: IdempotencyKey | None = None,
    ) -> Cancellation:
        """Ask a turn to stop: the named one, or the one that is active when the request arrives, never a later one.

        A turn that was parked gets an instance that ends it. If the process dies before it starts, the sweep starts it.

        Raises:
            SessionNotFoundError, IdempotencyKeyReusedError
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        active = require_owned(await writer.load(), owner, session_id).active_turn
        turn_id = await self._claimed_turn(active, request, key)

        async def decide(state: SessionState) -> Decision[Cancellation]:
            turn = state.active_turn
            if turn is None or turn.turn_id != turn_id:
                # Recorded as well: a retry must not stop a turn that has begun since.
                return Decision(_IDLE, record="")
            receipt = Cancellation("cancelling", turn.turn_id, turn.message_id, starts_instance=turn.parked)
            return Decision(receipt, await self._drafts(state, turn, request), record=turn.message_id)

        receipt = await writer.transact(decide, owner=owner, key=key, replay=_replay)
        if receipt.starts_instance:
            await scheduler.start(writer.state)
        return receipt

    async def _claimed_turn(
        self, active: ActiveTurn | None, request: CancelRequest, key: IdempotencyKey | None
    ) -> TurnId | None:
        """The turn that the request is about. Of several requests with one key, the first decides that."""
        turn_id = request.turn_id or (active.turn_id if active else None)
        if key is None or request.turn_id is not None:
            return turn_id
        earlier = key.replayed(await self._log.claim(key.record(turn_id or "")))
        return turn_id if earlier is None else TurnId(earlier)

    async def _drafts(self, state: SessionState, turn: ActiveTurn, request: CancelRequest) -> list[Draft]:
        unread = () if request.clears_queue else await load_messages(self._log, state.session_id, turn.unread)
        drafts = cancel_drafts(turn, unread, request.reason, request.trace_id)
        cleared = (*turn.unread, *state.queue) if request.clears_queue else ()
        return [*drafts, *(withdrawn_draft(message_id, request.trace_id) for message_id in cleared)]

    async def withdraw(self, owner: str, session_id: SessionId, message_id: MessageId, trace_id: str) -> None:
        """Withdraw a waiting message.

        Raises:
            SessionNotFoundError, MessageNotFoundError
            NotWaitingError: its turn has begun, or it was withdrawn before.
        """
        writer = SessionWriter(self._log, self._clock, session_id)

        async def decide(state: SessionState) -> Decision[None]:
            if message_id not in state.queue:
                message = await self._messages.load(state, message_id)
                raise NotWaitingError(f"The message is {message.status}: only one that waits can be withdrawn.")
            return Decision(None, [withdrawn_draft(message_id, trace_id)])

        await writer.transact(decide, owner=owner)


async def _replay(_: SessionState, recorded: str) -> Cancellation:
    """The receipt of the request that recorded the id of the cancelled turn's message, or nothing."""
    if not recorded:
        return Cancellation("idle", replayed=True)
    message_id = MessageId(recorded)
    return Cancellation("cancelling", turn_of(message_id), message_id, replayed=True)
