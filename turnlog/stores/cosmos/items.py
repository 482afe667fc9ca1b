"""The stored form of chunks, states and documents, in the partition of their session.

What queries need is in separate fields; the rest is JSON as text. In its own JSON, Cosmos DB stores numbers as doubles
and refuses deep nesting, and an outside event or the answer of a tool or a model must come back unchanged.
"""

import json
from typing import Any

from turnlog.domain.chunks import Chunk
from turnlog.domain.ids import SessionId, WriterId
from turnlog.domain.listing import listing_key
from turnlog.domain.pages import EVENT_OVERHEAD_BYTES
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import (
    AnyDocument,
    Document,
    IdempotencyRecord,
    Lease,
    Message,
    MessageParts,
    ModelResponse,
    Producer,
    StepDocument,
    ToolResult,
)
from turnlog.domain.tolerance import load
from turnlog.stores.reading import dump_events, load_events

STATE_ID = "state"
_CHECK_TTL = 60  # seconds

_PREFIXES: dict[type[Document], str] = {
    Message: "m",
    MessageParts: "c",
    StepDocument: "s",
    ToolResult: "t",
    ModelResponse: "r",
    IdempotencyRecord: "q",
    Producer: "p",
    Lease: "l",
}


def chunk_id(first: int, epoch: int = 1) -> str:
    """A chunk's id is its first sequence: the writer that creates the item owns the sequence.

    Every log has epoch 1, since the id of a deleted session is never used again.
    """
    return f"e:{epoch}:{first:012}"


def chunk_item(chunk: Chunk) -> dict[str, Any]:
    """A chunk. `types`, and `last_non_delta` for its last sequence, are missing if it holds only deltas.

    Each indexed value costs request units. There are many chunks of deltas, and no query needs them by their type.
    """
    non_delta = {} if chunk.has_only_deltas else {"last_non_delta": chunk.last, "types": chunk.types}
    return {
        "id": chunk_id(chunk.first, chunk.epoch),
        "session_id": chunk.session_id,
        "kind": "chunk",
        "epoch": chunk.epoch,
        "first": chunk.first,
        "last": chunk.last,
        **non_delta,
        "writer": chunk.writer,
        "events": dump_events(chunk.events),
    }


def chunk_of(item: dict[str, Any]) -> Chunk:
    return Chunk.model_construct(
        session_id=SessionId(item["session_id"]),
        epoch=item["epoch"],
        writer=WriterId(item["writer"]),
        events=load_events(item["events"]),
    )


def chunk_size(item: dict[str, Any]) -> int:
    """What a chunk takes in memory."""
    return len(item["events"]) + EVENT_OVERHEAD_BYTES * (item["last"] - item["first"] + 1)


def state_item(state: SessionState) -> dict[str, Any]:
    """The checkpoint, with the fields that lists are filtered and ordered by.

    `hidden` from lists are deleted sessions and forks that are not complete. `repair_due` is when the sweep has to
    check the session, `clear_due` when it is to be cleared; without such a time the field is missing.
    """
    return {
        "id": STATE_ID,
        "session_id": state.session_id,
        "kind": "state",
        "epoch": state.epoch,
        "folded_to": state.head,
        "owner": state.owner_hash,
        "listing_key": listing_key(state),
        "project_id": state.project_id,
        "status": state.status,
        "agent_name": state.agent_name,
        "archived": state.archived,
        "hidden": state.deleted or not state.is_complete,
        "labels": [label(key, value) for key, value in state.metadata.items() if isinstance(value, str)],
        **({} if state.repair_due is None else {"repair_due": state.repair_due.timestamp()}),
        **({} if state.clear_due is None else {"clear_due": state.clear_due.timestamp()}),
        "body": state.model_dump_json(exclude_none=True),
    }


def state_of(item: dict[str, Any]) -> SessionState:
    return load(SessionState, item["body"])


def label(key: str, value: str) -> str:
    """A metadata entry as one string, since the index of an array finds only whole values."""
    return json.dumps([key, value], ensure_ascii=False)


def item_id(kind: type[Document], document_id: str) -> str:
    return f"{_prefix(kind)}:{document_id}"


def sort_key(kind: type[Document], sequence: int) -> str:
    """Before the sort keys of a kind's documents that have this sequence or a later one."""
    return f"{_prefix(kind)}:{sequence:012}"


def sort_key_end(kind: type[Document]) -> str:
    """After the sort keys of all documents of a kind."""
    return f"{_prefix(kind)};"


def document_item(session_id: SessionId, document: AnyDocument) -> dict[str, Any]:
    """A document. A lease also has the field `writer`, so that one query finds the last write of a writer."""
    kind = type(document)
    return {
        "id": item_id(kind, document.id),
        "session_id": session_id,
        "kind": document.kind,
        "sort_key": f"{sort_key(kind, document.sequence)}:{document.id}",
        **({"writer": document.id} if isinstance(document, Lease) else {}),
        **({} if document.expires_after is None else {"ttl": document.expires_after}),
        "body": document.model_dump_json(exclude_none=True),
    }


def check_item() -> dict[str, Any]:
    """What the check of the store writes: one small item, always the same, which expires. No session has its key."""
    return {"id": "check", "session_id": "~check", "kind": "check", "ttl": _CHECK_TTL}


def _prefix(kind: type[Document]) -> str:
    return next(prefix for known, prefix in _PREFIXES.items() if issubclass(kind, known))
