"""A turn's rules: who may act on it, and what is appended when it begins and ends. Pure decisions over the state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from shared.domain.chunks import (
    Draft,
)
from shared.domain.documents import Message, Step, ToolResult, response_id
from shared.domain.events import (
    ErrorRaised,
    EventData,
    MessageComplete,
    MessageQueued,
    MessageWithdrawn,
    RunComplete,
    RunHandover,
    RunStart,
    Status,
    ToolCallComplete,
    UserMessage,
    VibecodeResponse,
)
from shared.domain.ids import InstanceId, MessageId, TurnId, WriterId, instance_of, turn_of
from shared.domain.session import ActiveTurn, Attempt, SessionState
from shared.domain.values import (
    INLINE_RESPONSE_BYTES,
    INLINE_TEXT_BYTES,
    Failure,
    OnBusy,
    ToolOutcome,
    TurnOutcome,
    size_of,
)


class Standing(Enum):
    """What an execution may do now, as the log says."""

    BEGIN = auto()
    """Nobody has begun this attempt: append its start, and act only if that succeeds."""
    MINE = auto()
    """This execution began the attempt and nobody has taken over."""
    FOLLOW = auto()
    """Another execution of this same attempt began it: wait for what it records."""
    DONE = auto()
    """The answer is recorded."""
    CANCELLED = auto()
    """The turn is to stop."""
    SUPERSEDED = auto()
    """The turn has ended, or belongs to another instance, or to a later attempt."""


@dataclass(frozen=True)
class Fence:
    """Which instance of which turn an execution acts for."""

    turn_id: TurnId
    instance_id: InstanceId

    def turn_in(self, state: SessionState) -> ActiveTurn | None:
        """The turn, if it is still the active one and this instance still runs it."""
        turn = state.active_turn
        if turn is None or turn.turn_id != self.turn_id or turn.instance_id != self.instance_id:
            return None
        return turn


def standing_of_step(state: SessionState, fence: Fence, step: int, attempt: int, writer: WriterId) -> Standing:
    """Where an execution of `attempt` of a model call stands."""
    turn = fence.turn_in(state)
    if turn is None:
        return Standing.SUPERSEDED
    if step <= turn.steps_done:
        return Standing.DONE
    begun = turn.call if turn.step == step else None
    return _standing(turn, begun, attempt, writer)


def standing_of_tool(state: SessionState, fence: Fence, call_id: str, attempt: int, writer: WriterId) -> Standing:
    """Where an execution of `attempt` of a tool call of the newest step stands."""
    turn = fence.turn_in(state)
    return Standing.SUPERSEDED if turn is None else _standing(turn, turn.tools.get(call_id), attempt, writer)


def _standing(turn: ActiveTurn, begun: Attempt | None, attempt: int, writer: WriterId) -> Standing:
    if begun is not None and begun.done:
        return Standing.DONE
    if begun is not None and begun.number > attempt:
        return Standing.SUPERSEDED
    if turn.cancelling:
        return Standing.CANCELLED
    if begun is None or begun.number < attempt:
        return Standing.BEGIN
    return Standing.MINE if begun.writer == writer else Standing.FOLLOW


def start_drafts(message: Message) -> list[Draft]:
    """The events with which `message` starts its turn."""
    return [user_message_draft(message), _draft(message, RunStart(agent=message.agent, model=message.model))]


def user_message_draft(message: Message) -> Draft:
    """The event with which `message` enters the conversation."""
    content, overflow = inline_or_reference(message.content, message.id)
    return _draft(message, UserMessage(content=content, overflow=overflow))


def queued_draft(message: Message, on_busy: OnBusy) -> Draft:
    """The event with which `message` waits for its own turn."""
    content, overflow = inline_or_reference(message.content, message.id)
    waiting = MessageQueued(content=content, on_busy=on_busy, overflow=overflow)
    turn_id = turn_of(message.message_id)
    return Draft(data=waiting, turn_id=turn_id, message_id=message.message_id, trace_id=message.trace_id)


def cancel_drafts(turn: ActiveTurn, unread: Sequence[Message], reason: str | None, trace_id: str) -> list[Draft]:
    """The events that ask `turn` to stop; none if it was asked before.

    No model call follows: what was put into the turn and not read waits for turns of its own from here on. A parked
    turn has no instance that could end it, so it is handed to one.
    """
    if turn.cancelling:
        return []
    stop = Status(status="cancelling", reason=reason)
    draft = Draft(data=stop, turn_id=turn.turn_id, message_id=turn.message_id, trace_id=trace_id)
    taken_up = [draft.model_copy(update={"data": handover_event(turn)})] if turn.parked else []
    return [draft, *taken_up, *(queued_draft(message, "steer") for message in unread)]


def handover_event(turn: ActiveTurn) -> RunHandover:
    """The event that gives `turn` to its next instance."""
    return RunHandover(instance_id=instance_of(turn.turn_id, turn.generation + 1))


def withdrawn_draft(message_id: MessageId, trace_id: str) -> Draft:
    """The event with which a waiting message is taken back."""
    return Draft(data=MessageWithdrawn(), turn_id=turn_of(message_id), message_id=message_id, trace_id=trace_id)


@dataclass(frozen=True)
class Ending:
    """How a turn ends. `unfinished` is what an interrupted step had written; `dangling` the calls without an answer.

    `unread` are the messages put into the turn that no model call read: each gets a turn of its own.
    `vibecoded` is what a VibeCoder's turn did to its project.
    """

    status: TurnOutcome
    at: datetime
    failure: Failure | None = None
    unfinished: Step | None = None
    dangling: tuple[ToolResult, ...] = ()
    vibecoded: VibecodeResponse | None = None
    unread: tuple[Message, ...] = ()

    def drafts(self, turn: ActiveTurn, message: Message) -> list[Draft]:
        """The turn's last events: what was left open is closed first, so that the next model call is a valid one."""
        steps = turn.steps_done + (self.unfinished is not None)
        closing: list[EventData] = []
        if self.unfinished is not None and turn.call is not None:
            closing.append(
                step_completion(message.message_id, turn.step, turn.call.number, self.unfinished, partial=True)
            )
        closing += [tool_completion(result) for result in self.dangling]
        if self.failure is not None:
            closing.append(ErrorRaised(**self.failure.model_dump()))
        if self.vibecoded is not None:
            closing.append(self.vibecoded)
        end = RunComplete(
            status=self.status,
            steps=steps,
            usage=turn.usage.model_dump(),
            duration_ms=max(0, int((self.at - turn.started_at).total_seconds() * 1000)),
            model=turn.model,
            error=self.failure,
        )
        # Who waits for a message that was not read hears of its own turn before this one's end.
        waiting = [queued_draft(unread, "steer") for unread in self.unread]
        return [*(_draft(message, data) for data in closing), *waiting, _draft(message, end)]

    def ended_message(self, turn: ActiveTurn, message: Message) -> Message:
        """The message as it is kept: what an interrupted step had written is part of its answer."""
        steps = message.steps
        if self.unfinished is not None:
            steps = (*steps, self.unfinished)
        changes = {
            "steps": steps,
            "status": self.status,
            "error": self.failure,
            "usage": turn.usage,
            "finish_reason": steps[-1].finish_reason if steps else None,
            "completed_at": self.at,
        }
        return message.model_copy(update=changes)


def step_completion(message_id: MessageId, step: int, attempt: int, written: Step, *, partial: bool) -> MessageComplete:
    """The event that says what a step's text is; a large one stays in the step's response."""
    text, overflow = inline_or_reference(written.text, response_id(message_id, step))
    return MessageComplete(
        step=step,
        attempt=attempt,
        text=text,
        partial=partial,
        finish_reason=written.finish_reason,
        truncated=written.truncated,
        overflow=overflow,
    )


def tool_completion(result: ToolResult) -> ToolCallComplete:
    """The event that says what became of a tool call; a large response stays in its document."""
    outcome = result.outcome
    size = size_of(outcome.response if isinstance(outcome.response, str) else str(outcome.response))
    large = size > INLINE_RESPONSE_BYTES
    return ToolCallComplete(
        id=result.id,
        step=result.step,
        name=result.name,
        arguments=result.arguments,
        status=outcome.status,
        response=None if large else outcome.response,
        duration_ms=result.duration_ms,
        truncated=outcome.truncated,
        overflow=result.id if large else None,
    )


def cancelled_call(call_id: str, name: str, arguments: str, message_id: MessageId, step: int) -> ToolResult:
    """The answer of a call that was never run to its end."""
    outcome = ToolOutcome(status="cancelled", response={"error": "The call was cancelled before it was answered."})
    return ToolResult(id=call_id, message_id=message_id, step=step, name=name, arguments=arguments, outcome=outcome)


def inline_or_reference(text: str, document_id: str) -> tuple[str, str | None]:
    """`text` as an event carries it: whole, or nothing and the document that holds it."""
    return (text, None) if size_of(text) <= INLINE_TEXT_BYTES else ("", document_id)


def _draft(message: Message, data: EventData) -> Draft:
    return Draft(data=data, turn_id=message.turn_id, message_id=message.message_id, trace_id=message.trace_id)
