"""How chunks, states and documents stand in a session's partition.

What is looked for stands in fields of its own; the rest is JSON as text. Cosmos DB keeps the numbers of its own JSON as
doubles and refuses deep nesting; an outside event, a tool's answer or a model's is to come back as it came.
"""

import json
from typing import Any

from pydantic import TypeAdapter

from shared.domain.chunks import (
    Chunk,
    Event,
)
from shared.domain.documents import (
    AnyDocument,
    Document,
    IdempotencyRecord,
    Lease,
    Message,
    ModelResponse,
    Producer,
    ToolResult,
)
from shared.domain.ids import SessionId, WriterId
from shared.domain.listing import listing_key
from shared.domain.session import SessionState

STATE_ID = "state"

_EVENTS = TypeAdapter(tuple[Event, ...])
_PREFIXES: dict[type[Document], str] = {
    Message: "m",
    ToolResult: "t",
    ModelResponse: "r",
    IdempotencyRecord: "q",
    Producer: "p",
    Lease: "l",
}


def chunk_id(first: int, epoch: int = 1) -> str:
    """A chunk's id is its place: who creates it owns the place.

    All logs have the first epoch, as long as the id of a deleted session is never given again.
    """
    return f"e:{epoch}:{first:012}"


def chunk_item(chunk: Chunk) -> dict[str, Any]:
    """A chunk. One that holds more than deltas can be found by its `types`, and by `last_non_delta`, its last sequence.

    Each indexed value costs request units, and there are many chunks of deltas, which nobody looks for by their type.
    """
    non_delta = {} if chunk.types == ("message.delta",) else {"last_non_delta": chunk.last, "types": chunk.types}
    return {
        "id": chunk_id(chunk.first, chunk.epoch),
        "session_id": chunk.session_id,
        "kind": "chunk",
        "epoch": chunk.epoch,
        "first": chunk.first,
        "last": chunk.last,
        **non_delta,
        "writer": chunk.writer,
        "events": _EVENTS.dump_json(chunk.events, exclude_none=True).decode(),
    }


def chunk_of(item: dict[str, Any]) -> Chunk:
    return Chunk.model_construct(
        session_id=SessionId(item["session_id"]),
        epoch=item["epoch"],
        writer=WriterId(item["writer"]),
        events=_EVENTS.validate_json(item["events"]),
    )


def state_item(state: SessionState) -> dict[str, Any]:
    """The checkpoint, with what lists are filtered and ordered by.

    `repair_due` is when the sweep is to look at the session; it is there only as long as there is such a time.
    """
    return {
        "id": STATE_ID,
        "session_id": state.session_id,
        "kind": "state",
        "epoch": state.epoch,
        "folded_to": state.head,
        "owner": state.owner,
        "listing_key": listing_key(state),
        "project_id": state.project_id,
        "status": state.status,
        "agent_name": state.agent_name,
        "archived": state.archived,
        "deleted": state.deleted or not state.is_complete,
        "labels": [label(key, value) for key, value in state.metadata.items() if isinstance(value, str)],
        **({} if state.repair_due is None else {"repair_due": state.repair_due.timestamp()}),
        "body": state.model_dump_json(exclude_none=True),
    }


def state_of(item: dict[str, Any]) -> SessionState:
    return SessionState.model_validate_json(item["body"])


def label(key: str, value: str) -> str:
    """A metadata entry as one string, which an array's index can find."""
    return json.dumps([key, value], ensure_ascii=False)


def item_id(kind: type[Document], document_id: str) -> str:
    return f"{_prefix(kind)}:{document_id}"


def place(kind: type[Document], order: int) -> str:
    """Where the documents of a kind and an order begin, among all of a partition that are listed."""
    return f"{_prefix(kind)}:{order:012}"


def place_after(kind: type[Document]) -> str:
    """Where the documents of a kind end."""
    return f"{_prefix(kind)};"


def document_item(session_id: SessionId, document: AnyDocument) -> dict[str, Any]:
    """A document; a lease also as its writer's, so that one query finds when a writer was last heard of."""
    kind = type(document)
    return {
        "id": item_id(kind, document.id),
        "session_id": session_id,
        "kind": document.kind,
        "place": f"{place(kind, document.sequence)}:{document.id}",
        **({"writer": document.id} if isinstance(document, Lease) else {}),
        **({} if document.expires_after is None else {"ttl": document.expires_after}),
        "body": document.model_dump_json(exclude_none=True),
    }


def _prefix(kind: type[Document]) -> str:
    return next(prefix for known, prefix in _PREFIXES.items() if issubclass(kind, known))
