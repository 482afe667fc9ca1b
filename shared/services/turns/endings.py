"""The end of a turn: its terminal event, and the beginning of the next one, in one batch."""

from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.domain.documents import AnyDocument, Message, ModelResponse, Step, ToolResult, response_id
from shared.domain.events import (
    MessageDelta,
)
from shared.domain.ids import SessionId, TurnId, instance_of, turn_of
from shared.domain.queue import joined
from shared.domain.session import ActiveTurn, SessionState
from shared.domain.turn import Ending, Fence, cancelled_call, start_drafts
from shared.domain.values import ANSWER_BYTES, Failure, TurnOutcome, cut
from shared.ports import Clock, SessionLog, TurnStart
from shared.services.messages import load_messages
from shared.services.patches import Vibecoding
from shared.services.stream import follow_events
from shared.services.writer import Decision, SessionWriter


@dataclass(frozen=True)
class EndRequest:
    """How a turn is to end. A turn whose log says `cancelling` ends as cancelled, whatever it still brought about.

    `goes_on_after`: the last step made, if the turn may make another one; if there is time, it then does for a message
    that was put into it and that no model call has read.
    """

    status: TurnOutcome
    failure: Failure | None = None
    goes_on_after: int | None = None
    has_time: bool = True

    def lets_go_on(self, turn: ActiveTurn) -> bool:
        if self.goes_on_after is None:
            return False
        # Who is late, or took the turn over, may find that it has gone on already.
        has_gone_on = turn.step > self.goes_on_after
        may_go_on = self.has_time and self.status == "completed" and not turn.cancelling
        return has_gone_on or (may_go_on and bool(turn.unread))


@dataclass(frozen=True)
class TurnEnd:
    """What came of ending a turn. `following` is the turn that is to be started now.

    `goes_on`: nothing was appended, there is a message yet to be read.
    """

    following: TurnStart | None = None
    goes_on: bool = False


class Endings:
    def __init__(self, log: SessionLog, clock: Clock, turn_timeout: timedelta, vibecoding: Vibecoding) -> None:
        self._log = log
        self._clock = clock
        self._turn_timeout = turn_timeout
        self._vibecoding = vibecoding

    async def end(self, session_id: SessionId, fence: Fence, verdict: EndRequest) -> TurnEnd:
        """Append the turn's end, and take the next waiting message with it; or find that the turn is to go on.

        Run twice, the second finds the turn ended and appends nothing; the turn that is to be started now it returns,
        too, since the first may have died between its append and that start.
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        await writer.load()

        async def decide(state: SessionState) -> Decision[TurnEnd]:
            turn = fence.turn_in(state)
            if turn is None:
                return Decision(TurnEnd(self._unbegun(state)))
            if verdict.lets_go_on(turn):
                return Decision(TurnEnd(goes_on=True))
            return await self._decided(state, turn, verdict)

        return await writer.settle(decide)

    async def _decided(self, state: SessionState, turn: ActiveTurn, verdict: EndRequest) -> Decision[TurnEnd]:
        message = await self._log.get(Message, state.session_id, turn.message_id)
        if message is None:
            raise ValueError(f"session {state.session_id}: the active turn's message {turn.message_id} is missing")
        message, dangling = await self._vibecoding.closed(state, message, _dangling(message, turn))
        ending = await self._ending(turn, message, dangling, verdict)
        told = await self._vibecoding.response(state, message, ending.status, turn.usage)
        ending = replace(ending, vibecoded=told)
        drafts = ending.drafts(turn, message)
        documents: list[AnyDocument] = [ending.ended_message(turn, message), *ending.dangling]
        if ending.unfinished is not None:
            documents.append(_partial_response(message, turn, ending.unfinished))
        begun = await self._next(state, ending, state.head + len(drafts) + 1)
        if begun is None:
            return Decision(TurnEnd(), drafts, documents)
        following = self._start_of(begun.session_id, begun.turn_id, begun.agent, begun.trace_id)
        return Decision(TurnEnd(following), [*drafts, *start_drafts(begun)], [*documents, begun])

    async def _ending(
        self, turn: ActiveTurn, message: Message, dangling: tuple[ToolResult, ...], verdict: EndRequest
    ) -> Ending:
        return Ending(
            status="cancelled" if turn.cancelling else verdict.status,
            at=self._clock.now(),
            failure=None if turn.cancelling else verdict.failure,
            unfinished=await self._unfinished(message, turn),
            dangling=dangling,
            unread=tuple(await load_messages(self._log, message.session_id, turn.unread)),
        )

    async def _unfinished(self, message: Message, turn: ActiveTurn) -> Step | None:
        """What the newest attempt of an interrupted step had written: it stays part of the conversation."""
        if turn.call is None or turn.call.done:
            return None
        pieces: list[str] = []
        batches = follow_events(self._log, message.session_id, message.sequence - 1, timedelta(0))
        async with aclosing(batches):
            async for events in batches:
                if not events:
                    break
                pieces += [
                    event.data.text
                    for event in events
                    if isinstance(event.data, MessageDelta)
                    and event.turn_id == turn.turn_id
                    and (event.data.step, event.data.attempt) == (turn.step, turn.call.number)
                ]
        text, truncated = cut("".join(pieces), ANSWER_BYTES)
        return Step(text=text, read=turn.reading, truncated=truncated)

    async def _next(self, state: SessionState, ending: Ending, sequence: int) -> Message | None:
        queue = (state.queue, state.queued_ahead)
        for unread in ending.unread:
            queue = joined(queue, unread.message_id, "steer")
        if not queue[0]:
            return None
        following = await self._log.get(Message, state.session_id, queue[0][0])
        if following is None:
            raise ValueError(f"session {state.session_id}: the queued message {queue[0][0]} is missing")
        own = {"turn_id": turn_of(following.message_id), "steers": None}
        return following.model_copy(update={**own, "status": "running", "sequence": sequence})

    def _unbegun(self, state: SessionState) -> TurnStart | None:
        """The active turn if nothing shows yet that its instance runs; starting one that runs does nothing."""
        turn = state.active_turn
        fresh = turn is not None and turn.generation == 1 and turn.call is None and not turn.cancelling
        if turn is None or not fresh:
            return None
        return self._start_of(state.session_id, turn.turn_id, turn.agent, turn.trace_id)

    def _start_of(self, session_id: SessionId, turn_id: TurnId, agent: str, trace_id: str | None) -> TurnStart:
        deadline = self._clock.now() + self._turn_timeout
        return TurnStart(session_id, turn_id, instance_of(turn_id, 1), agent, deadline, trace_id=trace_id)


def _dangling(message: Message, turn: ActiveTurn) -> tuple[ToolResult, ...]:
    """The calls of the newest step that were never answered."""
    if not message.steps or len(message.steps) != turn.step:
        return ()
    open_calls = [
        call for call in message.steps[-1].tool_calls if call.id not in turn.tools or not turn.tools[call.id].done
    ]
    return tuple(
        cancelled_call(call.id, call.name, call.arguments, message.message_id, turn.step) for call in open_calls
    )


def _partial_response(message: Message, turn: ActiveTurn, written: Step) -> ModelResponse:
    """What can be told of a model call whose own end nobody saw."""
    choice = {"index": 0, "finish_reason": None, "message": {"role": "assistant", "content": written.text}}
    return ModelResponse(
        id=response_id(message.message_id, turn.step),
        sequence=message.sequence,
        message_id=message.message_id,
        step=turn.step,
        body={"object": "chat.completion", "model": turn.model, "choices": [choice]},
    )
