"""The documents of a batch of the change feed as values, in the order of the feed.

The feed delivers each batch at least once, and a session's documents in the order of their last change. Of a document
that changed several times only the latest version comes. Deleted documents do not come.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from turnlog.domain.chunks import Chunk
from turnlog.domain.ids import SessionId
from turnlog.domain.session import SessionState
from turnlog.stores.cosmos.items import chunk_of, state_of

T = TypeVar("T")
Document = Mapping[str, Any]

_log = logging.getLogger(__name__)


def chunks_in(documents: Iterable[Document]) -> list[Chunk]:
    """The chunks among `documents`. One that can't be read is logged and left out; it must not block the others."""
    return _read(documents, "chunk", chunk_of)


def states_in(documents: Iterable[Document]) -> dict[SessionId, SessionState]:
    """The latest state of each session whose state is among `documents`."""
    return {state.session_id: state for state in _read(documents, "state", state_of)}


def _read(documents: Iterable[Document], kind: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
    values: list[T] = []
    for document in documents:
        if document.get("kind") != kind:
            continue
        try:
            values.append(read(dict(document)))
        except (ValueError, LookupError, TypeError):  # pydantic raises a ValueError
            _log.exception("document %s of session %s: no %s", document.get("id"), document.get("session_id"), kind)
    return values
