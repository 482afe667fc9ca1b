"""The queries, each served by an index in `containers`.

Every query of one session names the session once more in its text: its partition key is indexed, and not every server
keeps to the key alone.
"""

from datetime import datetime
from typing import Any, TypedDict

from shared.domain.documents import Document
from shared.domain.ids import SessionId, WriterId
from shared.domain.listing import SessionFilter
from shared.stores.cosmos.items import chunk_id, label, place, place_after


class Query(TypedDict):
    """The arguments of `ContainerProxy.query_items`; without a partition key, of all sessions."""

    query: str
    parameters: list[dict[str, Any]]
    partition_key: str | None


def chunks(
    session_id: SessionId, after: int, before: int | None = None, *, newest: bool = False, skip_deltas: bool = False
) -> Query:
    """Chunks with events between `after` and `before`. They don't overlap: by their last event is by their first."""
    field = "last_non_delta" if skip_deltas else "last"
    values, upto = dict[str, Any](after=after), ""
    if before is not None:
        # By their ids, which are indexed as they are and tell where chunks begin.
        values["before"], upto = chunk_id(before), " AND c.id < @before"
    order = f"ORDER BY c.{field}{' DESC' if newest else ''}"
    text = " ".join(("SELECT * FROM c WHERE c.session_id = @session_id AND", f"c.{field} > @after{upto}", order))
    return _of(session_id, text, **values)


def chunks_with(session_id: SessionId, event_type: str) -> Query:
    """Chunks that hold an event of a type, newest first; those of deltas alone are not to be found by it."""
    text = "SELECT * FROM c WHERE c.session_id = @session_id AND ARRAY_CONTAINS(c.types, @type) ORDER BY c.last DESC"
    return _of(session_id, text, type=event_type)


def documents(session_id: SessionId, kind: type[Document], after: int, before: int | None, *, newest: bool) -> Query:
    text = "SELECT * FROM c WHERE c.session_id = @session_id AND c.place >= @from AND c.place < @to ORDER BY c.place"
    bounds = {"from": place(kind, after + 1), "to": place_after(kind) if before is None else place(kind, before)}
    return _of(session_id, f"{text} DESC" if newest else text, **bounds)


def last_writes(session_id: SessionId, writer: WriterId) -> Query:
    """When chunks and leases of `writer` were written, the latest first."""
    text = "SELECT c._ts FROM c WHERE c.session_id = @session_id AND c.writer = @writer ORDER BY c._ts DESC"
    return _of(session_id, text, writer=writer)


def all_except(session_id: SessionId, item_id: str) -> Query:
    return _of(session_id, "SELECT c.id FROM c WHERE c.session_id = @session_id AND c.id != @item_id", item_id=item_id)


def sessions(wanted: SessionFilter, before: str | None) -> Query:
    """States, newest first."""
    values: dict[str, Any] = {
        name: value
        for name in ("owner", "project_id", "status", "agent_name", "archived")
        if (value := getattr(wanted, name)) is not None
    }
    conditions = [*([] if wanted.with_deleted else ["c.deleted = false"]), *(f"c.{name} = @{name}" for name in values)]
    for number, entry in enumerate(wanted.metadata.items()):
        conditions.append(f"ARRAY_CONTAINS(c.labels, @label{number})")
        values[f"label{number}"] = label(*entry)
    if before is not None:
        conditions.append("c.listing_key < @before")
        values["before"] = before
    # One owner's sessions stand in the composite index in their order; to be served from it, both must be named.
    order = "c.listing_key DESC" if wanted.owner is None else "c.owner DESC, c.listing_key DESC"
    where = ("WHERE", " AND ".join(conditions)) if conditions else ()
    text = " ".join(("SELECT c.body FROM c", *where, "ORDER BY", order))
    return _of(None, text, **values)


def due_for_repair(now: datetime) -> Query:
    text = "SELECT c.body FROM c WHERE c.repair_due <= @now ORDER BY c.repair_due"
    return _of(None, text, now=now.timestamp())


def _of(session_id: SessionId | None, text: str, **values: Any) -> Query:
    own = {} if session_id is None else {"session_id": session_id}
    parameters = [{"name": f"@{name}", "value": value} for name, value in (own | values).items()]
    return Query(query=text, parameters=parameters, partition_key=session_id)
