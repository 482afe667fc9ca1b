"""Submitting a message: it starts a turn, waits for its own turn, or goes into the running turn."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from turnlog.agents.registry import require_agent
from turnlog.domain.chunks import Draft, Event
from turnlog.domain.content import Content, bytes_stored, inline_text
from turnlog.domain.errors import (
    ModelNotAllowedError,
    QueueFullError,
    SessionArchivedError,
    SessionFullError,
    TurnInProgressError,
)
from turnlog.domain.events import SessionCreated
from turnlog.domain.ids import MessageId, SessionId, new_message_id, turn_of
from turnlog.domain.session import ActiveTurn, SessionState
from turnlog.domain.stored_documents import AnyDocument, Message, MessageParts
from turnlog.domain.turn_events import cancel_drafts, queued_draft, start_drafts, user_message_draft
from turnlog.domain.values import OnBusy
from turnlog.ports import Clock, SessionLog, TurnScheduler
from turnlog.services.limits import Limits
from turnlog.services.log.idempotency import IdempotencyKey
from turnlog.services.log.writer import Decision, SessionWriter
from turnlog.services.messages import Messages, load_messages
from turnlog.services.projects.budgets import Budgets

FULL_AT_BYTES = 16 * 1024**3
"""A logical partition holds 20 GB. From this size on a session refuses messages, so that a turn can always end."""


@dataclass(frozen=True)
class MessageLimits:
    """What a message may ask for; see the settings of the same names."""

    queue: int
    default_model: str
    allowed_models: Sequence[str] = ()


@dataclass(frozen=True)
class NewMessage:
    """What a client posted, validated."""

    content: Content
    trace_id: str
    agent: str | None = None
    model: str | None = None
    on_busy: OnBusy = "enqueue"
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    client_id: str | None = None


@dataclass(frozen=True)
class Submission:
    """A message that is in the log.

    `starts_instance`: the active turn needs an instance: it is the message's own turn, or a parked one that the message
    interrupts. `replayed`: an earlier request with the same key submitted the message. `events`: what this request
    appended from the message's own events on.
    """

    message: Message
    starts_instance: bool = False
    replayed: bool = False
    events: Sequence[Event] = ()

    @property
    def after(self) -> int:
        """The cursor from which the message's own events are read."""
        return self.message.sequence - 1


class Turns:
    def __init__(self, log: SessionLog, clock: Clock, limits: MessageLimits, owners: Limits, budgets: Budgets) -> None:
        self._log = log
        self._clock = clock
        self._limits = limits
        self._owners = owners
        self._budgets = budgets
        self._messages = Messages(log)

    async def submit(
        self,
        owner: str,
        session_id: SessionId,
        new: NewMessage,
        scheduler: TurnScheduler,
        key: IdempotencyKey | None = None,
    ) -> Submission:
        """Claim the session for `new`, queue it, or put it into the running turn, in one batch. Then start the turn.

        If the process dies before the start, the sweep starts the turn.

        Raises:
            SessionNotFoundError, SessionArchivedError, SessionFullError, BudgetExceededError,
            TurnInProgressError, QueueFullError, AgentNotFoundError, ModelNotAllowedError, IdempotencyKeyReusedError,
            RateLimitedError: and nothing was written.
        """
        writer = SessionWriter(self._log, self._clock, session_id)

        async def replay(_: SessionState, message_id: str) -> Submission:
            return Submission(await self._messages.get(owner, MessageId(message_id)), replayed=True)

        with self._owners.new_turn(owner, session_id) as count_turn:

            async def decide(state: SessionState) -> Decision[Submission]:
                decision = await self._decide(state, new)
                if (message := decision.result.message).steers is None:
                    await count_turn(message.turn_id)
                return decision

            submission = await writer.transact(decide, owner=owner, key=key, replay=replay)
        if submission.starts_instance:
            await scheduler.start(writer.state)
        own = [event for event in writer.appended if event.sequence > submission.after]
        return replace(submission, events=own)

    async def open(
        self,
        created: SessionCreated,
        session_id: SessionId,
        new: NewMessage,
        scheduler: TurnScheduler,
        key: IdempotencyKey,
    ) -> Submission:
        """Open a session with `new` as its first message, in one batch. Then start the turn.

        Raises:
            SequenceTakenError: there is or was such a session. AgentNotFoundError, ModelNotAllowedError,
            RateLimitedError. Nothing was written.
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        message = self._message(session_id, new.agent, new, sequence=2)
        decision = _decision(message, new.content, start_drafts(message), starts_instance=True)
        with self._owners.new_turn(created.owner, session_id) as count_turn:
            await count_turn(message.turn_id)
            drafts = [Draft(data=created, trace_id=new.trace_id), *decision.drafts]
            events = await writer.append(drafts, [*decision.documents, key.record(message.id)])
        await scheduler.start(writer.state)
        return replace(decision.result, events=events[1:])

    async def _decide(self, state: SessionState, new: NewMessage) -> Decision[Submission]:
        _refuse_closed(state)
        await self._budgets.require_left(state)
        turn = state.active_turn
        if turn is None and not state.queue:
            message = self._message_in(state, new, sequence=state.head + 1)
            return _decision(message, new.content, start_drafts(message), starts_instance=True)
        self._refuse_busy(state, new)
        if turn is not None and new.on_busy == "steer" and not turn.cancelling:
            message = self._message_in(state, new, sequence=state.head + 1)
            message = message.model_copy(update={"turn_id": turn.turn_id, "steers": turn.message_id})
            return _decision(message, new.content, [user_message_draft(message)])
        interruption = await self._interruption(state, new)
        message = self._message_in(state, new, sequence=state.head + len(interruption) + 1)
        message = message.model_copy(update={"status": "queued"})
        drafts = [*interruption, queued_draft(message, new.on_busy)]
        return _decision(message, new.content, drafts, starts_instance=_resumes(turn, interruption))

    async def _interruption(self, state: SessionState, new: NewMessage) -> list[Draft]:
        """The events that stop the running turn, if the message interrupts it."""
        turn = state.active_turn
        if turn is None or new.on_busy != "interrupt":
            return []
        unread = await load_messages(self._log, state.session_id, turn.unread)
        return cancel_drafts(turn, unread, "interrupted", new.trace_id)

    def _refuse_busy(self, state: SessionState, new: NewMessage) -> None:
        if new.on_busy == "reject":
            raise TurnInProgressError("A turn is running: wait for it, cancel it, or post with on_busy=enqueue.")
        # A message that was put into the turn and is not read yet may still have to wait.
        waiting = len(state.queue) + (0 if state.active_turn is None else len(state.active_turn.unread))
        if waiting >= self._limits.queue:
            raise QueueFullError(f"{waiting} messages are waiting already: post again when the running turn has ended.")

    def _message_in(self, state: SessionState, new: NewMessage, *, sequence: int) -> Message:
        return self._message(state.session_id, new.agent or state.agent_name, new, sequence=sequence)

    def _message(self, session_id: SessionId, agent_name: str | None, new: NewMessage, *, sequence: int) -> Message:
        agent = require_agent(agent_name)
        model = new.model or agent.model or self._limits.default_model
        if self._limits.allowed_models and model not in self._limits.allowed_models:
            raise ModelNotAllowedError(
                f"The model {model!r} is not allowed; allowed are: {', '.join(self._limits.allowed_models)}."
            )
        now = self._clock.now()
        message_id = new_message_id(session_id, now)
        return Message(
            id=message_id,
            sequence=sequence,
            session_id=session_id,
            turn_id=turn_of(message_id),
            trace_id=new.trace_id,
            client_id=new.client_id,
            content=inline_text(new.content),
            parts_bytes=bytes_stored(new.content),
            status="running",
            agent=agent.name,
            model=model,
            metadata=new.metadata,
            created_at=now,
        )


def _decision(
    message: Message, content: Content, drafts: Sequence[Draft], *, starts_instance: bool = False
) -> Decision[Submission]:
    documents: list[AnyDocument] = [message]
    if message.parts_bytes:
        documents.append(MessageParts(id=message.id, sequence=message.sequence, parts=content))
    return Decision(Submission(message, starts_instance), drafts, documents, record=message.id)


def _resumes(turn: ActiveTurn | None, interruption: Sequence[Draft]) -> bool:
    """Whether the interruption hands a parked turn over to an instance that ends it."""
    return bool(interruption) and turn is not None and turn.parked


def _refuse_closed(state: SessionState) -> None:
    if state.archived:
        raise SessionArchivedError
    if state.size_bytes >= FULL_AT_BYTES:
        raise SessionFullError("The session holds all it can: open a new one.")
