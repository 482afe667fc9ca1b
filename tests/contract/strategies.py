"""Logs for hypothesis: events of every type in any valid order, cut into chunks anywhere."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from tests.contract.factories import THEN
from turnlog.domain.chunks import Chunk, Draft, sequenced
from turnlog.domain.events import (
    ErrorRaised,
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
    UserMessage,
    VibecodeResponse,
)
from turnlog.domain.ids import MessageId, SessionId, TurnId, WriterId
from turnlog.domain.values import Usage

SESSION = SessionId("ses_1")

_texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
_numbers = st.integers(1, 3)
_counts = st.integers(0, 1000)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_texts, inner, max_size=2),
    max_leaves=4,
)
_objects = st.dictionaries(_texts, _json, max_size=2)
_calls = st.sampled_from(("call_1", "call_2"))


def _of(kind: type, /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **fields)


_created = _of(SessionCreated, thread_id=_texts, owner=_texts, project_id=st.none() | _texts, metadata=_objects)
_changes = st.fixed_dictionaries(
    {}, optional={"session_name": st.none() | _texts, "archived": st.booleans(), "metadata": _objects}
)
_later: dict[type, st.SearchStrategy[Any]] = {
    SessionUpdated: _of(SessionUpdated, changes=_changes),
    UserMessage: _of(UserMessage, content=_texts),
    MessageQueued: _of(
        MessageQueued, content=_texts, on_busy=st.sampled_from(("enqueue", "reject", "interrupt", "steer"))
    ),
    MessageWithdrawn: _of(MessageWithdrawn),
    RunStart: _of(RunStart, agent=_texts, model=_texts),
    RunHandover: _of(RunHandover, instance_id=_texts),
    MessageStart: _of(MessageStart, step=_numbers, attempt=_numbers),
    MessageDelta: _of(MessageDelta, step=_numbers, attempt=_numbers, text=_texts),
    ReasoningDelta: _of(ReasoningDelta, step=_numbers, attempt=_numbers, text=_texts),
    ToolCallDelta: _of(ToolCallDelta, id=_calls, step=_numbers, attempt=_numbers, name=_texts, arguments=_texts),
    MessageComplete: _of(MessageComplete, step=_numbers, attempt=_numbers, text=_texts, partial=st.booleans()),
    TokenUsage: _of(
        TokenUsage,
        prompt_tokens=_counts,
        completion_tokens=_counts,
        total_tokens=_counts,
        model=_texts,
        agent=_texts,
        iteration=_numbers,
    ),
    ToolCallStart: _of(ToolCallStart, id=_calls, step=_numbers, attempt=_numbers, name=_texts, arguments=_texts),
    ToolCallComplete: _of(
        ToolCallComplete,
        id=_calls,
        step=_numbers,
        name=_texts,
        arguments=_texts,
        status=st.sampled_from(("completed", "failed", "cancelled", "denied")),
        response=_json,
        duration_ms=_counts,
    ),
    ToolCallActionRequired: _of(
        ToolCallActionRequired,
        id=_calls,
        kind=st.sampled_from(("approval", "client_tool")),
        name=_texts,
        arguments=_texts,
        expires_at=st.just(THEN),
    ),
    ToolCallAction: _of(
        ToolCallAction, id=_calls, decision=st.sampled_from(("approve", "deny", "result")), by=_texts, reason=_texts
    ),
    VibecodeResponse: _of(
        VibecodeResponse,
        patch=st.none() | st.lists(st.fixed_dictionaries({"op": _texts, "path": _texts, "value": _json}), max_size=2),
        token_usage=st.builds(Usage, prompt_tokens=_counts),
        project_revision=_counts,
    ),
    Status: _of(Status, status=st.sampled_from(("cancelling", "stalled")), reason=st.none() | _texts),
    ErrorRaised: _of(ErrorRaised, message=_texts, code=_texts),
    RunComplete: _of(
        RunComplete,
        status=st.sampled_from(("completed", "failed", "cancelled")),
        steps=_counts,
        usage=st.just({}),
        duration_ms=_counts,
        model=_texts,
    ),
    Outside: _of(
        Outside,
        event_type=st.sampled_from(("session_stop", "message", "message.complete", "error", "x")),
        fields=_objects | st.fixed_dictionaries({"role": st.just("assistant"), "content": _json}),
    ),
}
GENERATED = {SessionCreated, SessionDeleted, *_later}


@st.composite
def _drafts(draw: st.DrawFn, data: st.SearchStrategy[Any]) -> Draft:
    number = draw(st.integers(1, 2))
    return Draft(data=draw(data), turn_id=TurnId(f"turn_{number}"), message_id=MessageId(f"msg_{number}"))


@st.composite
def logs(draw: st.DrawFn, max_events: int = 25) -> Sequence[Chunk]:
    """A whole log: the creation, then events in any order, then perhaps the deletion."""
    drafts = [
        draw(_drafts(_created)),
        *draw(st.lists(_drafts(st.one_of(*_later.values())), max_size=max_events)),
        *draw(st.lists(_drafts(st.just(SessionDeleted())), max_size=1)),
    ]
    chunks: list[Chunk] = []
    after = 0
    while after < len(drafts):
        size = draw(st.integers(1, 4))
        events = sequenced(drafts[after : after + size], after, THEN + timedelta(seconds=after))
        chunks.append(Chunk(session_id=SESSION, writer=WriterId(draw(st.sampled_from(("a", "b")))), events=events))
        after += size
    return chunks


def upto(chunks: Sequence[Chunk], sequence: int) -> Sequence[Chunk]:
    """The part of a log that ends with the event `sequence`, which may be in the middle of a chunk."""
    whole = [chunk for chunk in chunks if chunk.last <= sequence]
    cut = [chunk for chunk in chunks if chunk.first <= sequence < chunk.last]
    return [*whole, *(chunk.model_copy(update={"events": chunk.events[: sequence + 1 - chunk.first]}) for chunk in cut)]
