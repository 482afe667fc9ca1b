"""`python -m turnlog.local.rebuild export.ndjson`: a session's state, usage and messages from its export, as JSON.

`-` reads standard input. Only the file is needed.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from turnlog.api.shapes.common import as_json
from turnlog.api.shapes.messages import MessageView
from turnlog.api.shapes.sessions import SessionView
from turnlog.api.shapes.tool_calls import required_actions
from turnlog.domain.actions import with_arguments
from turnlog.domain.chunks import Chunk, Event
from turnlog.domain.content import Content, content_text
from turnlog.domain.events import (
    MessageComplete,
    MessageQueued,
    RunComplete,
    TokenUsage,
    ToolCallActionRequired,
    ToolCallComplete,
    ToolCallStart,
    UserMessage,
    VibecodeResponse,
)
from turnlog.domain.export import ExportedEvent, ExportHeader, MessageFacts
from turnlog.domain.fold import event_text, fold
from turnlog.domain.ids import MessageId, SessionId, turn_of
from turnlog.domain.message_status import with_current_status
from turnlog.domain.session import Action, SessionState
from turnlog.domain.stored_documents import Message, Step
from turnlog.domain.tolerance import load
from turnlog.domain.turn_events import without_large_response
from turnlog.domain.turn_fold import usage_of
from turnlog.domain.values import ToolCall, add_costs


class ExportError(ValueError):
    """The lines are not a whole export."""


@dataclass(frozen=True)
class Rebuilt:
    """A session after the last event of its export. Of a running step the tool calls that began or wait are known."""

    state: SessionState
    messages: Sequence[Message]
    contents: Mapping[MessageId, Content]
    outcomes: Mapping[str, ToolCallComplete]
    diagnosis: str | None
    open_actions: Mapping[str, Action]


def read_export(lines: Iterable[str]) -> Rebuilt:
    """Rebuild the session from the lines of its export.

    Raises:
        ExportError: the lines are not an export, or not all of it.
    """
    texts = (line for line in lines if line.strip())
    try:
        header = load(ExportHeader, next(texts, ""))
        return _rebuild(header, _parse(texts))
    except ValidationError as error:
        raise ExportError(f"This is not a line of an export that this version reads: {error}") from error


def _parse(lines: Iterable[str]) -> Iterator[ExportedEvent]:
    for line in lines:
        yield load(ExportedEvent, line)


def _rebuild(header: ExportHeader, lines: Iterable[ExportedEvent]) -> Rebuilt:
    state: SessionState | None = None
    session_id = SessionId(header.session_id)  # of no owner: a rebuilt session is in no store
    messages = _Messages(session_id)
    large_diagnosis = ""
    arguments = dict[str, str]()
    outcomes = dict[str, ToolCallComplete]()
    for line in lines:
        event = line.event
        messages.apply(state, event, line.message or MessageFacts())
        if isinstance(event.data, ToolCallActionRequired):
            arguments[event.data.id] = event.data.arguments
        if isinstance(event.data, ToolCallComplete):
            outcomes[event.data.id] = without_large_response(event.data)
        chunk = Chunk(session_id=session_id, epoch=header.epoch, writer=line.writer, events=(event,))
        try:
            state = fold(state, (chunk,))
        except ValueError as error:
            raise ExportError(str(error)) from error
        if state is not None and state.diagnosis_sequence == event.sequence:
            large_diagnosis = event_text(event.data) or ""
    if state is None or state.head != header.head:
        raise ExportError(f"The export was cut off: it ends with {state.head if state else 0}, not {header.head}.")
    diagnosis = large_diagnosis if state.diagnosis_sequence else state.diagnosis
    actions = _open_actions(state, arguments)
    return Rebuilt(state, messages.current(state), messages.contents, outcomes, diagnosis, actions)


def _open_actions(state: SessionState, arguments: Mapping[str, str]) -> Mapping[str, Action]:
    """Return what the parked turn waits for. `arguments` are those of all calls that waited."""
    turn = state.active_turn
    return {} if turn is None or not turn.parked else with_arguments(turn.open_actions, arguments)


class _Messages:
    """The documents of a session's messages, event by event."""

    def __init__(self, session_id: SessionId) -> None:
        self._session_id = session_id
        self._messages: dict[MessageId, Message] = {}
        self.contents: dict[MessageId, Content] = {}
        """What was sent: a text, or parts."""

    def current(self, state: SessionState) -> Sequence[Message]:
        """Return all messages as they are in `state`, in the order of their sequences."""
        found = sorted(self._messages.values(), key=lambda message: message.sequence)
        leads = [None if message.steers is None else self._messages.get(message.steers) for message in found]
        return [with_current_status(message, state, lead) for message, lead in zip(found, leads, strict=True)]

    def apply(self, state: SessionState | None, event: Event, facts: MessageFacts) -> None:
        """Take in `event`, which follows `state`."""
        if event.message_id is None or event.turn_id is None or state is None:
            return
        message = self._messages.get(event.message_id)
        match event.data:
            case UserMessage() | MessageQueued() as data if message is None:
                self.contents[event.message_id] = data.content
                message = self._new_message(event, event.message_id, data, facts)
            case _:
                pass
        if message is not None:
            self._messages[event.message_id] = message.model_copy(update=_changes(message, state, event, facts))

    def _new_message(
        self, event: Event, message_id: MessageId, data: UserMessage | MessageQueued, facts: MessageFacts
    ) -> Message:
        return Message(
            id=message_id,
            sequence=event.sequence,
            session_id=self._session_id,
            turn_id=turn_of(message_id),
            trace_id=event.trace_id,
            client_id=data.client_id,
            content=content_text(data.content),
            status="queued",
            agent=facts.agent or "",
            model=facts.model or "",
            metadata=facts.metadata,
            created_at=facts.created_at or event.timestamp,
        )


def _changes(message: Message, state: SessionState, event: Event, facts: MessageFacts) -> dict[str, Any]:
    """Return the fields of `message` that `event` changes."""
    turn = state.active_turn
    match event.data:
        case UserMessage():
            steers = None if turn is None or event.turn_id != turn.turn_id else turn.message_id
            return {"status": "running", "sequence": event.sequence, "turn_id": event.turn_id, "steers": steers}
        case MessageComplete(text=text, reasoning=reasoning, finish_reason=reason, truncated=truncated):
            read = () if turn is None else turn.reading
            step = Step(text=text, reasoning=reasoning or "", read=read, finish_reason=reason, truncated=truncated)
            return {"steps": (*message.steps, step)}
        case TokenUsage() as used if not state.is_copied(event.sequence):
            return {"usage": message.usage + usage_of(used), "cost": add_costs(message.cost, used.cost)}
        case ToolCallStart(step=number) | ToolCallComplete(step=number) as call:
            return {"steps": _with_call(message.steps, number, call)}
        case ToolCallActionRequired() as call if turn is not None:
            return {"steps": _with_call(message.steps, turn.step, call)}
        case VibecodeResponse(patch=list() as patch, project_revision=revision):
            return {"patch": patch, "project_revision": revision}
        case RunComplete(status=status, error=error):
            reason = message.steps[-1].finish_reason if message.steps else None
            ended = {"status": status, "error": error, "finish_reason": reason}
            return {**ended, "completed_at": facts.completed_at or event.timestamp}
        case _:
            return {}


def _with_call(
    steps: Sequence[Step], number: int, call: ToolCallStart | ToolCallComplete | ToolCallActionRequired
) -> tuple[Step, ...]:
    """Return `steps` with `call` in its step, in the order of the ids: calls of one step may begin in any order."""
    if not 0 < number <= len(steps) or any(known.id == call.id for known in steps[number - 1].tool_calls):
        return tuple(steps)
    step = steps[number - 1]
    calls = (*step.tool_calls, ToolCall(id=call.id, name=call.name, arguments=call.arguments))
    ordered = tuple(sorted(calls, key=lambda each: int(each.id.rpartition("_")[2])))
    return (*steps[: number - 1], step.model_copy(update={"tool_calls": ordered}), *steps[number:])


def render(session: Rebuilt) -> dict[str, Any]:
    """Return the session as the API shows it."""
    state, required = session.state, required_actions(session.open_actions)
    return {
        "session": SessionView.of(state, diagnosis=session.diagnosis, required_action=required),
        "usage": state.usage,
        "messages": [
            MessageView.of(message, session.contents[message.message_id], session.outcomes)
            for message in session.messages
        ],
    }


def main(arguments: list[str]) -> None:
    parser = ArgumentParser(
        "python -m turnlog.local.rebuild", description="A session's state, usage and messages, as JSON."
    )
    parser.add_argument("export", help="the answer of GET /sessions/{id}/export; - reads standard input")
    source = parser.parse_args(arguments).export
    try:
        if source == "-":
            session = read_export(sys.stdin)
        else:
            with Path(source).open(encoding="utf-8", newline="\n") as file:
                session = read_export(file)
    except (ExportError, OSError) as error:
        sys.exit(str(error))
    sys.stdout.write(as_json(render(session)).decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
