"""The fold: it computes a session's state from its log.

fold(all events) = fold(a checkpoint) then fold(the rest), for every checkpoint. A stored state is only a shortcut.
"""

from collections.abc import Iterable
from typing import Any, assert_never, cast

from pydantic import JsonValue

from turnlog.domain.budget import Budget
from turnlog.domain.chunks import Chunk, Event
from turnlog.domain.content import content_text
from turnlog.domain.events import (
    DELTA_TYPES,
    ErrorRaised,
    EventData,
    MessageComplete,
    MessageDelta,
    MessageQueued,
    MessageStart,
    MessageWithdrawn,
    Outside,
    ReasoningDelta,
    RunComplete,
    RunHandover,
    RunStart,
    SessionCreated,
    SessionDeleted,
    SessionUpdated,
    Status,
    TokenUsage,
    ToolCallAction,
    ToolCallActionRequired,
    ToolCallComplete,
    ToolCallDelta,
    ToolCallStart,
    UnknownEvent,
    UserMessage,
    VibecodeResponse,
)
from turnlog.domain.ids import WriterId
from turnlog.domain.queue import joined, without
from turnlog.domain.session import ActiveTurn, SessionState
from turnlog.domain.sizes import size_as_sent, size_of, truncate
from turnlog.domain.tolerance import FROM_STORE
from turnlog.domain.turn_fold import silence_changes, started_turn, turn_changes, usage_of
from turnlog.domain.values import MAX_ANSWER_BYTES, MAX_INLINE_TEXT_BYTES, MAX_MESSAGE_BYTES, UsageRow

UPDATABLE = frozenset({"session_name", "agent_name", "metadata", "archived", "budget"})
MAX_USAGE_ROWS = 50
"""Of the agents and models of a session, so many have their own sums of tokens."""

_OTHER = "other"
_EVENT_OVERHEAD_BYTES = 256
_UNCHECKPOINTED = (MessageStart, MessageDelta, ReasoningDelta, ToolCallDelta, ToolCallStart)


def needs_checkpoint(chunk: Chunk) -> bool:
    """Whether the state has to be stored with `chunk`, because lists and decisions read what it changes.

    Chunks of starts and deltas are folded again at the next read, so that a flush stays one small write.
    """
    return not all(isinstance(event.data, _UNCHECKPOINTED) for event in chunk.events)


def fold(state: SessionState | None, chunks: Iterable[Chunk]) -> SessionState | None:
    """`state` after `chunks`, which follow it without a gap. Events that `state` already contains are skipped."""
    for chunk in chunks:
        if state is not None and chunk.first == state.head + 1 and chunk.has_only_deltas:
            state = _after_deltas(state, chunk.last)
            continue
        for event in chunk.events:
            if state is None or event.sequence > state.head:
                state = _after(state, event, chunk)
    return state


def fold_without_deltas(state: SessionState, chunks: Iterable[Chunk], last: int) -> SessionState:
    """`state` after the event `last`. `chunks` are the chunks up to it that hold more than deltas.

    Deltas change only the head and the size of the log.
    """
    for chunk in chunks:
        state = _after_deltas(state, chunk.first - 1)
        for event in chunk.events:
            state = _after(state, event, chunk)
    return _after_deltas(state, max(state.head, last))


def _after_deltas(state: SessionState, last: int) -> SessionState:
    size = state.size_bytes + (last - state.head) * _EVENT_OVERHEAD_BYTES
    return state.model_copy(update={"head": last, "size_bytes": size})


def _after(state: SessionState | None, event: Event, chunk: Chunk) -> SessionState:
    if state is None:
        if not isinstance(event.data, SessionCreated):
            raise ValueError(f"session {chunk.session_id}: the log begins with {event.type}, not session.created")
        return _created(event.data, event, chunk)
    if event.sequence != state.head + 1:
        raise ValueError(f"session {state.session_id}: event {event.sequence} follows {state.head}")
    if isinstance(event.data, SessionDeleted):
        state = state.tombstone()
    changes = _changes(state, event, chunk.writer)
    if not isinstance(event.data, _UNCHECKPOINTED):
        changes["updated_at"] = event.timestamp
    return state.model_copy(update={"head": event.sequence, "size_bytes": state.size_bytes + _size(event), **changes})


def _created(data: SessionCreated, event: Event, chunk: Chunk) -> SessionState:
    return SessionState(
        session_id=chunk.session_id,
        epoch=chunk.epoch,
        head=event.sequence,
        created_at=event.timestamp,
        updated_at=event.timestamp,
        size_bytes=_size(event),
        **data.known_fields("type"),
    )


def _changes(state: SessionState, event: Event, writer: WriterId) -> dict[str, Any]:
    changes = _own_changes(state, event, writer)
    if event.type in DELTA_TYPES:
        return changes
    turn: ActiveTurn | None = changes.get("active_turn", state.active_turn)
    silence = silence_changes(turn, event)
    return changes if turn is None or not silence else {**changes, "active_turn": turn.model_copy(update=silence)}


def _own_changes(state: SessionState, event: Event, writer: WriterId) -> dict[str, Any]:
    match event.data:
        case SessionCreated() | SessionUpdated() | SessionDeleted() as data:
            return _session_changes(state, data)
        case UserMessage() | MessageQueued() | MessageWithdrawn():
            return _waiting_changes(state, event)
        case RunStart() as start:
            return {"active_turn": started_turn(start, event, writer)}
        case RunComplete() as end:
            return _end_changes(state, end)
        case ErrorRaised(message=text):
            return {"error_detail": truncate(text, MAX_MESSAGE_BYTES)[0]}
        case Outside() as outside:
            return _outside_changes(state, outside, event.sequence)
        case (
            RunHandover()
            | MessageStart()
            | MessageDelta()
            | ReasoningDelta()
            | ToolCallDelta()
            | MessageComplete()
            | TokenUsage()
            | ToolCallStart()
            | ToolCallComplete()
            | ToolCallActionRequired()
            | ToolCallAction()
            | VibecodeResponse()
            | Status()
        ) as data:
            own = _text_changes(data, event.sequence) | _usage_changes(state, data, event.sequence)
            return own | _turn_update(state, turn_changes(state.active_turn, event, writer))
        case UnknownEvent():
            return {}
        case _ as never:
            assert_never(never)


def _session_changes(state: SessionState, data: SessionCreated | SessionUpdated | SessionDeleted) -> dict[str, Any]:
    match data:
        case SessionCreated():
            raise ValueError(f"session {state.session_id}: created twice")
        case SessionUpdated(changes=changes):
            return {name: _field_value(name, value) for name, value in changes.items() if name in UPDATABLE}
        case SessionDeleted():
            return {}


def _field_value(name: str, value: JsonValue) -> Any:
    """The value of a session's field. In the event it is JSON."""
    return Budget.model_validate(value, context=FROM_STORE) if name == "budget" and value is not None else value


def _waiting_changes(state: SessionState, event: Event) -> dict[str, Any]:
    changes = _queue_changes(state, event)
    if not isinstance(event.data, MessageWithdrawn):
        return {**changes, "status": "running", "last_resumed_at": event.timestamp}
    # No message waits and no turn runs, so no later event would set the status.
    is_last = bool(state.queue) and not changes["queue"] and state.active_turn is None
    return {**changes, **({"status": "finished"} if is_last else {})}


def _end_changes(state: SessionState, end: RunComplete) -> dict[str, Any]:
    return {
        "active_turn": None,
        "status": "running" if state.queue else "finished",
        "run_meta": end.model_dump(mode="json", exclude={"type"}),
        **({"error_detail": None} if end.status == "completed" else {}),
    }


def _text_changes(data: EventData, sequence: int) -> dict[str, Any]:
    if not isinstance(data, MessageComplete):
        return {}
    # A step may end without text. Then the result stays the text before it.
    result = {"result_sequence": sequence} if data.text or data.overflow else {}
    return {**_diagnosis(data.text, sequence, is_elsewhere=data.overflow is not None), **result}


def _diagnosis(text: str, sequence: int, *, is_elsewhere: bool = False) -> dict[str, Any]:
    """The text of the newest step, or the sequence of its event if the text is large."""
    is_large = is_elsewhere or size_as_sent(text) > MAX_INLINE_TEXT_BYTES
    return {"diagnosis": "" if is_large else text, "diagnosis_sequence": sequence if is_large else 0}


def _queue_changes(state: SessionState, event: Event) -> dict[str, Any]:
    """The queue and the running turn's unread messages after `event`."""
    message_id, turn = event.message_id, state.active_turn
    queue = without((state.queue, state.queued_ahead), message_id)
    unread = () if turn is None else tuple(each for each in turn.unread if each != message_id)
    if message_id is not None and isinstance(event.data, MessageQueued):
        queue = joined(queue, message_id, event.data.on_busy)
    elif message_id is not None and turn is not None and isinstance(event.data, UserMessage):
        unread = (*unread, message_id) if event.turn_id == turn.turn_id else unread
    waiting, ahead = queue
    return {"queue": waiting, "queued_ahead": ahead, **_turn_update(state, {"unread": unread})}


def _usage_changes(state: SessionState, used: EventData, sequence: int) -> dict[str, Any]:
    """The sums of tokens. Copied events are counted in the source of a fork, not in the fork."""
    if not isinstance(used, TokenUsage) or state.is_copied(sequence):
        return {}
    usage = usage_of(used)
    row = _usage_row(state, used.agent, used.model)
    others = tuple(other for other in state.usage_rows if (other.agent, other.model) != (row.agent, row.model))
    added = row.with_row(UsageRow(**usage.known_fields(), agent=row.agent, model=row.model, calls=1, cost=used.cost))
    return {"usage": state.usage + usage, "usage_rows": (*others, added)}


def _usage_row(state: SessionState, agent: str, model: str) -> UsageRow:
    """The row of an agent and a model. When there are too many rows, the rest is in one."""
    rows = {(row.agent, row.model): row for row in state.usage_rows}
    if (agent, model) not in rows and len(rows) >= MAX_USAGE_ROWS - 1:
        agent, model = _OTHER, _OTHER
    return rows.get((agent, model)) or UsageRow(agent=agent, model=model)


def _turn_update(state: SessionState, changes: dict[str, Any]) -> dict[str, Any]:
    if state.active_turn is None or not changes:
        return {}
    return {"active_turn": state.active_turn.model_copy(update=changes)}


def _outside_changes(state: SessionState, outside: Outside, sequence: int) -> dict[str, Any]:
    match outside.event_type:
        case "session_stop" if state.active_turn is None and not state.queue:
            return {"status": "finished"}
        case "message" if outside.fields.get("role") == "assistant":
            return {"result_sequence": sequence}
        case "message.complete":
            text = text_of(outside.fields.get("text"))
            return {**_diagnosis(text, sequence), **({"result_sequence": sequence} if text else {})}
        case "error":
            return {"error_detail": truncate(text_of(outside.fields.get("message")), MAX_MESSAGE_BYTES)[0]}
        case _:
            return {}


def text_of(content: Any) -> str:
    """The text of `content`: a string, or a list of `{"type": "text", "text": …}` parts. Anything else has no text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [cast("dict[str, Any]", part) for part in cast("list[Any]", content) if isinstance(part, dict)]
    return "".join(str(part.get("text", "")) for part in parts)


def event_text(data: EventData) -> str | None:
    """The text of an answer's event, also of one from outside; None for other events."""
    match data:
        case MessageComplete(text=text):
            return text
        case Outside(event_type="message", fields=fields):
            return text_of(fields.get("content"))
        case Outside(fields=fields):
            return text_of(fields.get("text"))
        case _:
            return None


def _size(event: Event) -> int:
    """The approximate size of `event` in the store: exact enough to notice that a partition fills up."""
    match event.data:
        case MessageComplete(text=text, overflow=overflow):
            # Twice, because its deltas hold the same text.
            return _EVENT_OVERHEAD_BYTES + 2 * (size_of(text) if overflow is None else MAX_ANSWER_BYTES)
        case UserMessage() | MessageQueued() as data:
            # Parts are counted with each of the message's one to three events, though they are stored once.
            return _EVENT_OVERHEAD_BYTES + size_of(content_text(data.content)) + (data.parts_bytes or 0)
        case Outside(fields=fields) | UnknownEvent(fields=fields):
            return _EVENT_OVERHEAD_BYTES + size_of(str(fields))
        case VibecodeResponse(patch=patch):
            return _EVENT_OVERHEAD_BYTES + size_of(str(patch))
        case ToolCallActionRequired(arguments=arguments):
            return _EVENT_OVERHEAD_BYTES + size_of(arguments)
        case ToolCallComplete(response=response, arguments=arguments):
            return _EVENT_OVERHEAD_BYTES + size_of(arguments) + size_of(str(response))
        case _:
            return _EVENT_OVERHEAD_BYTES
