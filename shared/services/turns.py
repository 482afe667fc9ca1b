"""Turns: a message claims its session and starts one; waiting for it, cancelling it."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from shared.agents.registry import agent_named
from shared.domain.documents import IdempotencyRecord, Message, ModelResponse, ToolResult, response_id
from shared.domain.errors import (
    MessageNotFoundError,
    ModelNotAllowedError,
    QueueFullError,
    SessionArchivedError,
    SessionFullError,
    SessionNotFoundError,
    ToolCallNotFoundError,
    TurnInProgressError,
)
from shared.domain.events import Draft, Event, MessageQueued, RunComplete, SessionDeleted, Status
from shared.domain.ids import MessageId, SessionId, TurnId, instance_of, new_message_id, session_of, turn_of
from shared.domain.session import SessionState
from shared.domain.turn import beginning, inlined
from shared.domain.values import OnBusy
from shared.ports import Clock, SessionLog, TurnScheduler, TurnStart
from shared.services.sessions import IdempotencyKey, belonging
from shared.services.stream import follow
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
    """A message that is in the log. `starts` says that its turn is to be started; `replayed` that it was there before.

    `after` is the cursor from which its own events are read.
    """

    message: Message
    after: int
    starts: bool = False
    replayed: bool = False


@dataclass(frozen=True)
class CancelReceipt:
    """`idle`: nothing was running, or not the turn that was named, and nothing was done."""

    status: Literal["cancelling", "idle"]
    turn_id: TurnId | None = None
    message_id: MessageId | None = None


class Turns:
    def __init__(self, log: SessionLog, clock: Clock, limits: TurnLimits) -> None:
        self._log = log
        self._clock = clock
        self._limits = limits

    async def submit(
        self, owner: str, session_id: SessionId, new: NewMessage, key: IdempotencyKey | None = None
    ) -> Submission:
        """Claim the session for `new`, or queue it, in one batch.

        Raises:
            SessionNotFoundError, SessionArchivedError, SessionFullError, TurnInProgressError, QueueFullError,
            AgentNotFoundError, ModelNotAllowedError, IdempotencyKeyReusedError: and nothing was written.
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        await writer.load()

        async def decide(state: SessionState) -> Decision[Submission]:
            belonging(state, owner, session_id)
            if key is not None and (known := await self._log.get(IdempotencyRecord, session_id, key.id)) is not None:
                message = await self.message(owner, MessageId(key.replayed(known) or ""))
                return Decision(Submission(message, after=message.order - 1, replayed=True))
            return self._claim(state, new, key)

        return await writer.settle(decide)

    def _claim(self, state: SessionState, new: NewMessage, key: IdempotencyKey | None) -> Decision[Submission]:
        _refuse_closed(state)
        busy = state.active_turn is not None or bool(state.queue)
        if busy and new.on_busy == "reject":
            raise TurnInProgressError("A turn is running: wait for it, cancel it, or post with on_busy=enqueue.")
        if busy and len(state.queue) >= self._limits.queue:
            raise QueueFullError(
                f"{len(state.queue)} messages are waiting already: post again when the running turn has ended."
            )
        message = self._message(state, new, queued=busy)
        drafts = [_queueing(message, new)] if busy else beginning(message)
        documents = (message,) if key is None else (message, key.record(message.id))
        return Decision(Submission(message, after=state.head, starts=not busy), drafts, documents)

    def _message(self, state: SessionState, new: NewMessage, *, queued: bool) -> Message:
        model = new.model or self._limits.default_model
        if self._limits.allowed_models and model not in self._limits.allowed_models:
            raise ModelNotAllowedError(
                f"The model {model!r} is not allowed; allowed are: {', '.join(self._limits.allowed_models)}."
            )
        now = self._clock.now()
        message_id = new_message_id(state.session_id, now)
        return Message(
            id=message_id,
            order=state.head + 1,
            session_id=state.session_id,
            turn_id=turn_of(message_id),
            trace_id=new.trace_id,
            prompt=new.content,
            status="queued" if queued else "running",
            agent=agent_named(new.agent or state.agent_name).name,
            model=model,
            metadata=new.metadata,
            created_at=now,
        )

    async def start(self, submission: Submission, scheduler: TurnScheduler) -> None:
        """Start the claimed turn's instance. A death before this line is mended by the sweep."""
        message = submission.message
        if submission.starts:
            await scheduler.start(
                TurnStart(
                    session_id=message.session_id,
                    turn_id=message.turn_id,
                    instance_id=instance_of(message.turn_id, 1),
                    deadline=message.created_at + self._limits.timeout,
                )
            )

    async def message(self, owner: str, message_id: MessageId) -> Message:
        """Raises MessageNotFoundError, also for another owner's."""
        session_id = session_of(message_id)
        state = None if session_id is None else await self._log.state(session_id)
        if session_id is None or state is None or state.deleted or state.owner != owner:
            raise MessageNotFoundError(message_id)
        message = await self._log.get(Message, session_id, message_id)
        if message is None:
            raise MessageNotFoundError(message_id)
        return message

    async def messages(
        self, owner: str, session_id: SessionId, *, after: MessageId | None, limit: int, newest: bool
    ) -> Sequence[Message]:
        """At most `limit` messages that follow `after`, oldest first; `newest`: that precede it, newest first.

        Raises SessionNotFoundError, MessageNotFoundError.
        """
        belonging(await self._log.state(session_id), owner, session_id)
        if after is not None and session_of(after) != session_id:
            raise MessageNotFoundError(after)
        place = None if after is None else (await self.message(owner, after)).order
        if newest:
            found = await self._log.find(Message, session_id, before=place, limit=limit, newest=True)
            return list(reversed(found))
        return await self._log.find(Message, session_id, after=place or 0, limit=limit)

    async def responses(self, message: Message) -> Sequence[ModelResponse]:
        """The model calls of a message's turn, in order."""
        steps = range(1, len(message.steps) + 1)
        found = [
            await self._log.get(ModelResponse, message.session_id, response_id(message.message_id, step))
            for step in steps
        ]
        return [response for response in found if response is not None]

    async def start_of(self, state: SessionState) -> int:
        """The cursor from which the active turn's events are read."""
        turn = state.active_turn
        message = None if turn is None else await self._log.get(Message, state.session_id, turn.message_id)
        return state.head if message is None else message.order - 1

    async def tool_result(self, owner: str, session_id: SessionId, call_id: str) -> ToolResult:
        """Raises SessionNotFoundError, ToolCallNotFoundError."""
        belonging(await self._log.state(session_id), owner, session_id)
        result = await self._log.get(ToolResult, session_id, call_id)
        if result is None:
            raise ToolCallNotFoundError(f"There is no answered tool call {call_id!r} in this session.")
        return result

    async def ended(self, message: Message, at_most: timedelta) -> Message:
        """The message once its turn has ended, or as it stands when `at_most` has passed.

        Raises SessionNotFoundError: the session is deleted meanwhile.
        """
        if message.status in {"queued", "running"} and at_most:
            with suppress(TimeoutError):
                async with asyncio.timeout(at_most.total_seconds()):
                    await self._end_of(message, at_most)
        return await self._log.get(Message, message.session_id, message.id) or message

    async def _end_of(self, message: Message, patience: timedelta) -> None:
        async with aclosing(follow(self._log, message.session_id, message.order - 1, patience)) as batches:
            async for events in batches:
                end = next((event for event in events if ends_turn(event, message.turn_id)), None)
                if end is not None and isinstance(end.data, SessionDeleted):
                    raise SessionNotFoundError(message.session_id)
                if end is not None:
                    return

    async def cancel(
        self, owner: str, session_id: SessionId, turn_id: TurnId | None, reason: str | None, trace_id: str
    ) -> CancelReceipt:
        """Ask a turn to stop: the one named, or the one active at first sight, and never the one after it."""
        writer = SessionWriter(self._log, self._clock, session_id)
        active = belonging(await writer.load(), owner, session_id).active_turn
        wanted = turn_id or (active.turn_id if active else None)

        async def decide(state: SessionState) -> Decision[CancelReceipt]:
            turn = belonging(state, owner, session_id).active_turn
            if turn is None or turn.turn_id != wanted:
                return Decision(CancelReceipt("idle"))
            receipt = CancelReceipt("cancelling", turn.turn_id, turn.message_id)
            if turn.cancelling:
                return Decision(receipt)
            stop = Status(status="cancelling", reason=reason)
            draft = Draft(data=stop, turn_id=turn.turn_id, message_id=turn.message_id, trace_id=trace_id)
            return Decision(receipt, [draft])

        return await writer.settle(decide)


def ends_turn(event: Event, turn_id: TurnId) -> bool:
    """Whether nothing of the turn follows `event`."""
    return isinstance(event.data, SessionDeleted) or (isinstance(event.data, RunComplete) and event.turn_id == turn_id)


def _refuse_closed(state: SessionState) -> None:
    if state.archived:
        raise SessionArchivedError("The session is archived: PATCH it with archived=false to go on.")
    if state.size_bytes >= FULL_AT_BYTES:
        raise SessionFullError("The session holds all it can: open a new one.")


def _queueing(message: Message, new: NewMessage) -> Draft:
    content, overflow = inlined(message.prompt, message.id)
    queued = MessageQueued(content=content, on_busy=new.on_busy, overflow=overflow)
    return Draft(data=queued, turn_id=message.turn_id, message_id=message.message_id, trace_id=message.trace_id)
