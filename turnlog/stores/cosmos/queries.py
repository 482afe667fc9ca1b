"""The queries, each served by an index in `containers`.

A query of one session also names the session in its text. Its partition key is indexed, and not every server limits a
query to the partition.
"""

from datetime import datetime
from typing import Any, Literal, TypedDict

from turnlog.domain.ids import SessionId, WriterId
from turnlog.domain.listing import SessionFilter
from turnlog.domain.stored_documents import Document
from turnlog.stores.cosmos.items import chunk_id, label, sort_key, sort_key_end

_END = "~"  # after every listing key


class Query(TypedDict):
    """The arguments of `ContainerProxy.query_items`. Without a partition key the query is of the whole container."""

    query: str
    parameters: list[dict[str, Any]]
    partition_key: str | None


def chunks(
    session_id: SessionId, after: int, before: int | None = None, *, newest: bool = False, skip_deltas: bool = False
) -> Query:
    """Chunks with events between `after` and `before`. Chunks never overlap, so ordering by `last` is right."""
    field = "last_non_delta" if skip_deltas else "last"
    values, bound = dict[str, Any](after=after), ""
    if before is not None:
        # `first` has no index of its own. The ids have one, and they sort like `first`.
        values["before"], bound = chunk_id(before), " AND c.id < @before"
    order = f"ORDER BY c.{field}{' DESC' if newest else ''}"
    text = " ".join(("SELECT * FROM c WHERE c.session_id = @session_id AND", f"c.{field} > @after{bound}", order))
    return _of_session(session_id, text, **values)


def chunks_with(session_id: SessionId, event_type: str) -> Query:
    """Chunks that hold an event of a type, newest first. Chunks of deltas alone have no indexed types."""
    text = "SELECT * FROM c WHERE c.session_id = @session_id AND ARRAY_CONTAINS(c.types, @type) ORDER BY c.last DESC"
    return _of_session(session_id, text, type=event_type)


def documents(session_id: SessionId, kind: type[Document], after: int, before: int | None, *, newest: bool) -> Query:
    """Documents of a kind whose sequence is between `after` and `before`."""
    text = (
        "SELECT * FROM c WHERE c.session_id = @session_id AND c.sort_key >= @from AND c.sort_key < @to"
        " ORDER BY c.sort_key"
    )
    end = sort_key_end(kind) if before is None else sort_key(kind, before)
    bounds = {"from": sort_key(kind, after + 1), "to": end}
    return _of_session(session_id, f"{text} DESC" if newest else text, **bounds)


def last_writes(session_id: SessionId, writer: WriterId) -> Query:
    """When the chunks and the lease of `writer` were written, the latest first."""
    text = "SELECT c._ts FROM c WHERE c.session_id = @session_id AND c.writer = @writer ORDER BY c._ts DESC"
    return _of_session(session_id, text, writer=writer)


def all_except(session_id: SessionId, item_id: str) -> Query:
    text = "SELECT c.id FROM c WHERE c.session_id = @session_id AND c.id != @item_id"
    return _of_session(session_id, text, item_id=item_id)


def sessions(wanted: SessionFilter, before: str | None) -> Query:
    """States, newest first."""
    values: dict[str, Any] = {
        name: value
        for name in ("owner", "project_id", "status", "agent_name", "archived")
        if (value := getattr(wanted, name)) is not None
    }
    conditions = [*([] if wanted.with_deleted else ["c.hidden = false"]), *(f"c.{name} = @{name}" for name in values)]
    for number, entry in enumerate(wanted.metadata.items()):
        conditions.append(f"ARRAY_CONTAINS(c.labels, @label{number})")
        values[f"label{number}"] = label(*entry)
    if before is not None:
        conditions.append("c.listing_key < @before")
        values["before"] = before
    # One owner's sessions are sorted in the composite index, which serves the query only if it orders by both fields.
    order = "c.listing_key DESC" if wanted.owner is None else "c.owner DESC, c.listing_key DESC"
    where = ("WHERE", " AND ".join(conditions)) if conditions else ()
    text = " ".join(("SELECT c.body FROM c", *where, "ORDER BY", order))
    return _query(text, **values)


def due(field: Literal["repair_due", "clear_due"], by: datetime) -> Query:
    """States whose `field` is not after `by`, the longest due first."""
    text = " ".join(("SELECT c.session_id, c.body FROM c WHERE", f"c.{field} <= @by ORDER BY c.{field}"))
    return _query(text, by=by.timestamp())


def idle_since(before: datetime) -> Query:
    """States that are not hidden and were last written before `before`. Cosmos DB always indexes `_ts`."""
    text = "SELECT c.body FROM c WHERE c.hidden = false AND c._ts < @before ORDER BY c._ts"
    return _query(text, before=int(before.timestamp()))


def projects(owner: str, before: str | None) -> Query:
    """An owner's projects, newest first. The composite index serves this as it does for sessions."""
    text = (
        "SELECT c.body FROM c WHERE c.owner = @owner AND c.deleted = false AND c.listing_key < @before"
        " ORDER BY c.owner DESC, c.listing_key DESC"
    )
    return _query(text, owner=owner, before=before or _END)


def due_deletions(by: datetime) -> Query:
    """Deleted projects that the sweep has to look at, the longest due first."""
    text = "SELECT c.body FROM c WHERE c.deletion_due <= @by ORDER BY c.deletion_due"
    return _query(text, by=by.timestamp())


def room_entries(room_key: str, first_id: str, end_id: str) -> Query:
    """The ids between two bounds that hold an entry: of the container of rooms, where only ids are indexed."""
    text = "SELECT c.id FROM c WHERE c.room = @room AND c.id >= @from AND c.id < @to AND IS_DEFINED(c.entry)"
    return _query(text, room_key, room=room_key, **{"from": first_id, "to": end_id})


def _of_session(session_id: SessionId, text: str, **values: Any) -> Query:
    return _query(text, session_id, session_id=session_id, **values)


def _query(text: str, partition_key: str | None = None, **values: Any) -> Query:
    parameters = [{"name": f"@{name}", "value": value} for name, value in values.items()]
    return Query(query=text, parameters=parameters, partition_key=partition_key)
