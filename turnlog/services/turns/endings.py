"""The end of a turn: its terminal event, and the start of the next turn in the same batch."""

import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal, TypeAlias

from turnlog.domain.errors import BatchTooLargeError
from turnlog.domain.events import MessageDelta, ReasoningDelta
from turnlog.domain.ids import SessionId, turn_of
from turnlog.domain.queue import joined
from turnlog.domain.session import ActiveTurn, SessionState
from turnlog.domain.sizes import truncate
from turnlog.domain.stored_documents import AnyDocument, Message, Step
from turnlog.domain.turn import Fence
from turnlog.domain.turn_ending import Ending
from turnlog.domain.turn_events import start_drafts
from turnlog.domain.values import MAX_ANSWER_BYTES, MAX_REASONING_BYTES, Failure, ToolCall, TurnOutcome
from turnlog.ports import Clock, SessionLog, TurnScheduler
from turnlog.services.log.steps import find_step
from turnlog.services.log.stream import follow_events
from turnlog.services.log.writer import Decision, SessionWriter
from turnlog.services.messages import load_messages
from turnlog.services.projects.patches import ProjectPatches
from turnlog.services.projects.webhooks import Webhooks
from turnlog.services.turns.answers import step_documents
from turnlog.services.turns.attempts import load_active_message

EndOutcome: TypeAlias = Literal["done", "continues", "superseded"]
"""`done`: the turn's end is recorded. `continues`: nothing was appended, because the next step is to read a message.
`superseded`: the turn had ended before, or does not belong to this instance any more."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EndRequest:
    """How a turn is to end. If the log says `cancelling`, it ends as cancelled, whatever it achieved in between.

    `continues_after`: the turn's last step, if the turn may have another one. It then has one for a message that was
    put into it and that no model call has read, if there is time.
    """

    status: TurnOutcome
    failure: Failure | None = None
    continues_after: int | None = None
    has_time: bool = True

    def lets_continue(self, turn: ActiveTurn) -> bool:
        if self.continues_after is None:
            return False
        # A late execution, or the next instance, may find that the turn has continued already.
        has_continued = turn.step > self.continues_after
        may_continue = self.has_time and self.status == "completed" and not turn.cancelling
        return has_continued or (may_continue and bool(turn.unread))


class Endings:
    def __init__(self, log: SessionLog, clock: Clock, vibecoding: ProjectPatches, webhooks: Webhooks) -> None:
        self._log = log
        self._clock = clock
        self._vibecoding = vibecoding
        self._webhooks = webhooks

    async def end(
        self, session_id: SessionId, fence: Fence, request: EndRequest, scheduler: TurnScheduler
    ) -> EndOutcome:
        """Append the turn's end together with the start of the next waiting message, or find that the turn continues.

        Then start the next turn's instance, and the deliveries to webhooks. If it runs twice, the second run finds the
        turn ended and appends nothing. It starts these instances again, because the process may have died between the
        append and the start.
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        is_short = False

        async def decide(state: SessionState) -> Decision[EndOutcome]:
            turn = fence.turn_in(state)
            if turn is None:
                return Decision("superseded")
            if request.lets_continue(turn):
                return Decision("continues")
            return await self._decide(state, turn, request, is_short=is_short)

        try:
            outcome = await writer.transact(decide)
        except BatchTooLargeError:
            _log.exception("session %s: the end of turn %s is too large; it is shortened", session_id, fence.turn_id)
            is_short = True
            outcome = await writer.transact(decide)
        if outcome != "continues" and _is_new(writer.state):
            await scheduler.start(writer.state)
        if outcome != "continues":
            await self._webhooks.announce_turn(writer.state, fence.turn_id, scheduler)
        return outcome

    async def _decide(
        self, state: SessionState, turn: ActiveTurn, request: EndRequest, *, is_short: bool
    ) -> Decision[EndOutcome]:
        """What ends the turn. `is_short`: the last resort, which always fits."""
        message = await load_active_message(self._log, state, Fence(turn.turn_id, turn.instance_id))
        last = await find_step(self._log, message, turn.steps_done) if turn.steps_done else None
        message, dangling = await self._vibecoding.close_calls(state, message, turn.step, _unanswered(last, turn))
        ending = replace(await self._ending(turn, message, request), dangling=dangling, last=last)
        vibecoded = await self._vibecoding.build_response(state, message, ending.status, turn.usage)
        ending = replace(ending, vibecoded=vibecoded)
        if is_short:
            ending, message = ending.shortened(), message.model_copy(update={"patch": None})
        drafts = ending.drafts(turn, message)
        documents: list[AnyDocument] = [ending.ended_message(turn, message), *ending.dangling]
        if ending.unfinished is not None:
            documents += step_documents(message, turn.step, ending.unfinished)
        following = await self._next(state, ending, state.head + len(drafts) + 1)
        if following is None:
            return Decision("done", drafts, documents)
        return Decision("done", [*drafts, *start_drafts(following)], [*documents, following])

    async def _ending(self, turn: ActiveTurn, message: Message, request: EndRequest) -> Ending:
        return Ending(
            status="cancelled" if turn.cancelling else request.status,
            at=self._clock.now(),
            failure=None if turn.cancelling else request.failure,
            unfinished=await self._unfinished(message, turn),
            unread=tuple(await load_messages(self._log, message.session_id, turn.unread)),
        )

    async def _unfinished(self, message: Message, turn: ActiveTurn) -> Step | None:
        """What the newest attempt of an interrupted step had written. It stays part of the conversation."""
        if turn.call is None or turn.call.done:
            return None
        text, reasoning = list[str](), list[str]()
        batches = follow_events(self._log, message.session_id, message.sequence - 1, timedelta(0))
        async with aclosing(batches):
            async for events in batches:
                if not events:
                    break
                for event in events:
                    data = event.data
                    if not isinstance(data, MessageDelta | ReasoningDelta) or event.turn_id != turn.turn_id:
                        continue
                    if (data.step, data.attempt) == (turn.step, turn.call.number):
                        (text if isinstance(data, MessageDelta) else reasoning).append(data.text)
        written, truncated = truncate("".join(text), MAX_ANSWER_BYTES)
        thought, _ = truncate("".join(reasoning), MAX_REASONING_BYTES)
        return Step(text=written, reasoning=thought, read=turn.reading, truncated=truncated)

    async def _next(self, state: SessionState, ending: Ending, sequence: int) -> Message | None:
        """The message whose turn begins next, at `sequence`."""
        queue = (state.queue, state.queued_ahead)
        for unread in ending.unread:
            queue = joined(queue, unread.message_id, "steer")
        if not queue[0]:
            return None
        following = await self._log.get(Message, state.session_id, queue[0][0])
        if following is None:
            raise ValueError(f"session {state.session_id}: the queued message {queue[0][0]} is missing")
        changes = {"turn_id": turn_of(following.message_id), "steers": None, "status": "running", "sequence": sequence}
        return following.model_copy(update=changes)


def _is_new(state: SessionState) -> bool:
    """Whether nothing shows that the active turn's first instance runs. Starting one that runs does nothing."""
    turn = state.active_turn
    return turn is not None and turn.generation == 1 and turn.call is None and not turn.cancelling


def _unanswered(last: Step | None, turn: ActiveTurn) -> Sequence[ToolCall]:
    """The calls of the newest step that were not answered. `last` is the newest step that was completed."""
    if last is None or turn.steps_done != turn.step:
        return ()
    return [call for call in last.calls_to_run if call.id not in turn.tools or not turn.tools[call.id].done]
