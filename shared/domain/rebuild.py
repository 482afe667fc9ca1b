"""A session rebuilt from its export: state, usage and messages as the API shows them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.chunks import (
    Chunk,
    Event,
)
from shared.domain.documents import Message, Step
from shared.domain.events import (
    MessageComplete,
    MessageQueued,
    RunComplete,
    TokenUsage,
    ToolCallComplete,
    ToolCallStart,
    UserMessage,
    VibecodeResponse,
)
from shared.domain.export import ExportedEvent, ExportHeader, MessageFacts
from shared.domain.fold import fold
from shared.domain.ids import MessageId, SessionId, turn_of
from shared.domain.messages import with_current_status
from shared.domain.session import SessionState
from shared.domain.values import ToolCall, Usage


class ExportError(ValueError):
    """What was given is no whole export."""


@dataclass(frozen=True)
class Rebuilt:
    """A session after its export's last event. A running step's tool calls are those that were begun."""

    state: SessionState
    messages: Sequence[Message]


def rebuilt(header: ExportHeader, lines: Iterable[ExportedEvent]) -> Rebuilt:
    """The session that an export tells of.

    Raises:
        ExportError: it was cut off, or its events are not a session's log.
    """
    state: SessionState | None = None
    messages = _Messages(header.session_id)
    for line in lines:
        event = line.event
        messages.after(state, event, line.message or MessageFacts())
        chunk = Chunk(session_id=header.session_id, epoch=header.epoch, writer=line.writer, events=(event,))
        try:
            state = fold(state, (chunk,))
        except ValueError as error:
            raise ExportError(str(error)) from error
    if state is None or state.head != header.head:
        raise ExportError(f"The export was cut off: it ends with {state.head if state else 0}, not {header.head}.")
    return Rebuilt(state, messages.standing(state))


class _Messages:
    """The messages as their documents stand, event by event."""

    def __init__(self, session_id: SessionId) -> None:
        self._session_id = session_id
        self._messages: dict[MessageId, Message] = {}

    def standing(self, state: SessionState) -> Sequence[Message]:
        """All of them in the order of their places, as they stand in `state`."""
        found = sorted(self._messages.values(), key=lambda message: message.sequence)
        leads = [None if message.steers is None else self._messages.get(message.steers) for message in found]
        return [with_current_status(message, state, lead) for message, lead in zip(found, leads, strict=True)]

    def after(self, state: SessionState | None, event: Event, facts: MessageFacts) -> None:
        """Take in `event`, which follows `state`."""
        if event.message_id is None or event.turn_id is None or state is None:
            return
        known = self._messages.get(event.message_id)
        match event.data:
            case UserMessage(content=content) | MessageQueued(content=content) if known is None:
                known = self._entering(event, content, facts)
            case _:
                pass
        if known is not None:
            self._messages[event.message_id] = known.model_copy(update=_changes(known, state, event, facts))

    def _entering(self, event: Event, content: str, facts: MessageFacts) -> Message:
        assert event.message_id is not None  # noqa: S101  # asked before
        return Message(
            id=event.message_id,
            sequence=event.sequence,
            session_id=self._session_id,
            turn_id=turn_of(event.message_id),
            trace_id=event.trace_id,
            content=content,
            status="queued",
            agent=facts.agent or "",
            model=facts.model or "",
            metadata=facts.metadata,
            created_at=facts.created_at or event.timestamp,
        )


def _changes(message: Message, state: SessionState, event: Event, facts: MessageFacts) -> dict[str, Any]:
    """What `event` changes of the message it speaks of."""
    turn = state.active_turn
    match event.data:
        case UserMessage():
            steers = None if turn is None or event.turn_id != turn.turn_id else turn.message_id
            own = {"status": "running", "sequence": event.sequence}
            return {**own, "turn_id": event.turn_id, "steers": steers}
        case MessageComplete(text=text, finish_reason=reason, truncated=truncated):
            read = () if turn is None else turn.reading
            step = Step(text=text, read=read, finish_reason=reason, truncated=truncated)
            return {"steps": (*message.steps, step)}
        case TokenUsage() as used if not state.is_copied(event.sequence):
            return {"usage": message.usage + Usage(**used.model_dump(include=set(Usage.model_fields)))}
        case ToolCallStart() | ToolCallComplete() as call:
            return {"steps": _with_call(message.steps, call)}
        case VibecodeResponse(patch=list() as patch, project_revision=revision):
            return {"patch": patch, "project_revision": revision}
        case RunComplete(status=status, error=error):
            reason = message.steps[-1].finish_reason if message.steps else None
            ended = {"status": status, "error": error, "finish_reason": reason}
            return {**ended, "completed_at": facts.completed_at or event.timestamp}
        case _:
            return {}


def _with_call(steps: Sequence[Step], call: ToolCallStart | ToolCallComplete) -> tuple[Step, ...]:
    """`steps` with a call at the place its id says, whichever of its step's was first to begin."""
    if not 0 < call.step <= len(steps) or any(known.id == call.id for known in steps[call.step - 1].tool_calls):
        return tuple(steps)
    step = steps[call.step - 1]
    calls = (*step.tool_calls, ToolCall(id=call.id, name=call.name, arguments=call.arguments))
    ordered = tuple(sorted(calls, key=lambda each: int(each.id.rpartition("_")[2])))
    return (*steps[: call.step - 1], step.model_copy(update={"tool_calls": ordered}), *steps[call.step :])
