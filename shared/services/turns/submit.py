"""Turns: a message claims its session and starts one, waits for one, or goes into the running one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from shared.agents.registry import agent_named
from shared.domain.chunks import (
    Draft,
)
from shared.domain.documents import IdempotencyRecord, Message
from shared.domain.errors import (
    ModelNotAllowedError,
    QueueFullError,
    SessionArchivedError,
    SessionFullError,
    TurnInProgressError,
)
from shared.domain.ids import MessageId, SessionId, instance_of, new_message_id, turn_of
from shared.domain.session import SessionState
from shared.domain.turn import cancel_drafts, queued_draft, start_drafts, user_message_draft
from shared.domain.values import OnBusy
from shared.ports import Clock, SessionLog, TurnScheduler, TurnStart
from shared.services.idempotency import IdempotencyKey
from shared.services.messages import Messages, load_messages
from shared.services.sessions import require_owned
from shared.services.turns.taking_up import start_of
from shared.services.writer import Decision, SessionWriter

FULL_AT_BYTES = 16 * 1024**3
"""A logical partition takes 20 GB: from here on a session refuses messages, so that a turn can always end."""


@dataclass(frozen=True)
class TurnLimits:
    """What bounds a turn; see the settings of the same names."""

    timeout: timedelta
    queue: int
    default_model: str
    allowed_models: Sequence[str] = ()


@dataclass(frozen=True)
class NewMessage:
    """What a client posted, understood."""

    content: str
    trace_id: str
    agent: str | None = None
    model: str | None = None
    on_busy: OnBusy = "enqueue"
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Submission:
    """A message that is in the log. `starts`: its turn is to be started. `replayed`: it was there before.

    `stops`: the turn it interrupts was parked, and needs an instance to end it.
    """

    message: Message
    starts: bool = False
    stops: TurnStart | None = None
    replayed: bool = False

    @property
    def after(self) -> int:
        """The cursor from which the message's own events are read."""
        return self.message.sequence - 1


class Turns:
    def __init__(self, log: SessionLog, clock: Clock, limits: TurnLimits) -> None:
        self._log = log
        self._clock = clock
        self._limits = limits
        self._messages = Messages(log)

    async def submit(
        self, owner: str, session_id: SessionId, new: NewMessage, key: IdempotencyKey | None = None
    ) -> Submission:
        """Claim the session for `new`, queue it, or put it into the running turn, in one batch.

        Raises:
            SessionNotFoundError, SessionArchivedError, SessionFullError, TurnInProgressError, QueueFullError,
            AgentNotFoundError, ModelNotAllowedError, IdempotencyKeyReusedError: and nothing was written.
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        await writer.load()

        async def decide(state: SessionState) -> Decision[tuple[Submission, bool]]:
            require_owned(state, owner, session_id)
            if key is not None and (known := await self._log.get(IdempotencyRecord, session_id, key.id)) is not None:
                message = await self._messages.get(owner, MessageId(key.replayed(known) or ""))
                return Decision((Submission(message, replayed=True), False))
            return await self._claim(state, new, key)

        submission, takes_up = await writer.settle(decide)
        return replace(submission, stops=start_of(writer.state, self._limits.timeout)) if takes_up else submission

    async def _claim(
        self, state: SessionState, new: NewMessage, key: IdempotencyKey | None
    ) -> Decision[tuple[Submission, bool]]:
        _refuse_closed(state)
        turn = state.active_turn
        starts = turn is None and not state.queue
        if not starts:
            self._refuse_busy(state, new)
        before: list[Draft] = []
        if turn is not None and new.on_busy == "interrupt":
            unread = await load_messages(self._log, state.session_id, turn.unread)
            before = cancel_drafts(turn, unread, "interrupted", new.trace_id)
        message = self._message(state, new, order=state.head + len(before) + 1)
        if turn is not None and new.on_busy == "steer" and not turn.cancelling:
            message = message.model_copy(update={"turn_id": turn.turn_id, "steers": turn.message_id})
            own = [user_message_draft(message)]
        elif starts:
            own = start_drafts(message)
        else:
            message = message.model_copy(update={"status": "queued"})
            own = [queued_draft(message, new.on_busy)]
        documents = (message,) if key is None else (message, key.record(message.id))
        takes_up = bool(before) and turn is not None and turn.parked
        return Decision((Submission(message, starts=starts), takes_up), [*before, *own], documents)

    def _refuse_busy(self, state: SessionState, new: NewMessage) -> None:
        if new.on_busy == "reject":
            raise TurnInProgressError("A turn is running: wait for it, cancel it, or post with on_busy=enqueue.")
        # What was put into the turn and is not read yet may still have to wait.
        waiting = len(state.queue) + (0 if state.active_turn is None else len(state.active_turn.unread))
        if waiting >= self._limits.queue:
            raise QueueFullError(f"{waiting} messages are waiting already: post again when the running turn has ended.")

    def _message(self, state: SessionState, new: NewMessage, *, order: int) -> Message:
        agent = agent_named(new.agent or state.agent_name)
        model = new.model or agent.model or self._limits.default_model
        if self._limits.allowed_models and model not in self._limits.allowed_models:
            raise ModelNotAllowedError(
                f"The model {model!r} is not allowed; allowed are: {', '.join(self._limits.allowed_models)}."
            )
        now = self._clock.now()
        message_id = new_message_id(state.session_id, now)
        return Message(
            id=message_id,
            sequence=order,
            session_id=state.session_id,
            turn_id=turn_of(message_id),
            trace_id=new.trace_id,
            content=new.content,
            status="running",
            agent=agent.name,
            model=model,
            metadata=new.metadata,
            created_at=now,
        )

    async def start(self, submission: Submission, scheduler: TurnScheduler) -> None:
        """Start the claimed turn's instance. A death before this line is mended by the sweep."""
        message = submission.message
        if submission.stops is not None:
            await scheduler.start(submission.stops)
        if submission.starts:
            await scheduler.start(
                TurnStart(
                    session_id=message.session_id,
                    turn_id=message.turn_id,
                    instance_id=instance_of(message.turn_id, 1),
                    agent=message.agent,
                    deadline=message.created_at + self._limits.timeout,
                    trace_id=message.trace_id,
                )
            )


def _refuse_closed(state: SessionState) -> None:
    if state.archived:
        raise SessionArchivedError
    if state.size_bytes >= FULL_AT_BYTES:
        raise SessionFullError("The session holds all it can: open a new one.")
