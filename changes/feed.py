"""What the change feed of the sessions' container delivers, as values, in the order of the feed.

It delivers batches, each at least once, a session's documents in the order of their last change. Of a document that
changed again there is the latest version only, and nothing of one that is gone.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from shared.domain.chunks import Chunk
from shared.domain.ids import SessionId
from shared.domain.session import SessionState
from shared.stores.cosmos.items import chunk_of, state_of

T = TypeVar("T")
Document = Mapping[str, Any]

_LOGGER = logging.getLogger(__name__)


def chunks_in(documents: Iterable[Document]) -> list[Chunk]:
    """The chunks among `documents`; one that can't be read is logged and left out, and holds up none."""
    return _read(documents, "chunk", chunk_of)


def states_in(documents: Iterable[Document]) -> dict[SessionId, SessionState]:
    """The sessions whose stored state is among `documents`, as they last were."""
    return {state.session_id: state for state in _read(documents, "state", state_of)}


def _read(documents: Iterable[Document], kind: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
    found: list[T] = []
    for document in documents:
        if document.get("kind") != kind:
            continue
        try:
            found.append(read(dict(document)))
        except (ValueError, LookupError, TypeError):  # what pydantic raises is a ValueError
            _LOGGER.exception("document %s of session %s: no %s", document.get("id"), document.get("session_id"), kind)
    return found
