"""The logs of all sessions and what is stored beside them: five ports, which one store implements together.

What is written at once has at most `MAX_BATCH_DOCUMENTS` documents and `MAX_BATCH_BYTES`. Every method raises
StoreUnavailableError when the store doesn't answer.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from turnlog.domain.chunks import Chunk
from turnlog.domain.ids import SessionId, WriterId
from turnlog.domain.listing import SessionFilter
from turnlog.domain.pages import Page
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import AnyDocument, Document, IdempotencyRecord
from turnlog.ports.feeds import Feed

D = TypeVar("D", bound=Document)

MAX_BATCH_DOCUMENTS = 96
"""The chunk, the state and the documents of an append together."""

MAX_BATCH_BYTES = 1536 * 1024
"""The size of an append or a `put` as it is sent: see `turnlog.domain.sizes`."""


class EventLog(Feed[SessionId, Chunk], Protocol):
    """The log of each session: gapless, and with one writer at each sequence."""

    async def append(
        self, chunk: Chunk, checkpoint: SessionState | None = None, documents: Sequence[AnyDocument] = ()
    ) -> None:
        """Write `chunk`, with the state after it and its documents: all of it or nothing. Safe to repeat.

        Raises:
            SequenceTakenError: another writer holds this sequence; read on and decide again.
            BatchTooLargeError: it exceeds the limits of a batch, and nothing was written.
        """
        ...

    async def state(self, session_id: SessionId) -> SessionState | None:
        """The session as its whole log says, read strongly; None if there is none. A deleted one is a tombstone.

        Raises:
            SessionUnreadableError: another release stored it, in a form that this one cannot read.
        """
        ...

    async def checkpoint(self, session_id: SessionId) -> SessionState | None:
        """Like `state`, except that it may be behind the log. An append after it is refused then. It is cheaper."""
        ...

    async def catch_up(self, checkpoint: SessionState) -> SessionState | None:
        """What `state` returns, by reading only what follows a state that `checkpoint` has just returned."""
        ...

    async def remains(self, session_id: SessionId) -> SessionState | None:
        """What a deletion has to know: ids, owner, times and head. No more of the state need be readable."""
        ...

    async def outline(self, session_id: SessionId) -> SessionState | None:
        """Like `state`, except that the newest deltas may be missing. It is cheaper while an answer is written."""
        ...

    async def read(
        self,
        session_id: SessionId,
        after: int,
        limit: int,
        /,
        *,
        before: int | None = None,
        newest: bool = False,
        skip_deltas: bool = False,
    ) -> Page[Chunk]:
        """Chunks that hold events between `after` and `before`, both excluded, oldest first.

        At most `limit` of them, and `MAX_PAGE_BYTES`; one chunk at least. Read strongly. `newest`: the last chunks
        instead of the first. `skip_deltas`: only chunks that hold an event other than a delta; the others are not read.
        """
        ...

    async def newest_of_type(self, session_id: SessionId, event_type: str, limit: int) -> Page[Chunk]:
        """The newest chunks that hold an event of this type, oldest first.

        At most `limit` of them, and `MAX_RESPONSE_BYTES`; one chunk at least.
        """
        ...

    async def silence(self, session_id: SessionId, writer: WriterId) -> timedelta | None:
        """How long ago, by the store's clock, `writer` last appended or renewed its lease; None if it never did."""
        ...


class Documents(Protocol):
    """What is stored beside a log, by kind and id."""

    async def get(self, kind: type[D], session_id: SessionId, document_id: str) -> D | None: ...

    async def find(
        self,
        kind: type[D],
        session_id: SessionId,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int,
        newest: bool = False,
        max_bytes: int | None = None,
    ) -> Page[D]:
        """At most `limit` documents of a kind whose sequence is between `after` and `before`, both excluded, in order.

        `newest`: the last of them instead of the first. `max_bytes`: the page ends before it is larger; it has one
        document at least. A document that cannot be read is logged and left out.
        """
        ...

    async def put(self, session_id: SessionId, document: AnyDocument) -> None:
        """Write a document alone: a lease, or what must be stored before the chunk that names it.

        Raises:
            BatchTooLargeError: it exceeds `MAX_BATCH_BYTES`, and nothing was written.
        """
        ...


class Claims(Protocol):
    """Idempotency records that belong to no session, by id."""

    async def claim(self, record: IdempotencyRecord) -> IdempotencyRecord | None:
        """Store `record`. If one with its id exists, change nothing and return that one."""
        ...

    async def release(self, record: IdempotencyRecord) -> None:
        """Remove `record`, if exactly this record is stored."""
        ...


class SessionIndex(Protocol):
    """Which sessions there are."""

    async def sessions(self, wanted: SessionFilter, *, before: str | None, limit: int) -> Page[SessionState]:
        """Stored states, newest first: at most `limit`, and `MAX_RESPONSE_BYTES`; one at least.

        `before` is the `listing_key` of the last one on the previous page. A state that cannot be read is logged and
        left out.
        """
        ...

    def due_for_repair(self, by: datetime) -> AsyncGenerator[SessionState]:
        """All stored states whose `repair_due` is not after `by`, the longest due first.

        They are read page by page. A state that cannot be read is logged and left out.
        """
        ...

    def due_for_clearing(self, by: datetime) -> AsyncGenerator[SessionState]:
        """The same for `clear_due`: deleted sessions, and copies that were never completed."""
        ...

    async def idle_since(self, before: datetime, limit: int) -> Sequence[SessionState]:
        """Sessions that are not deleted and whose stored state was last changed before `before`, the oldest first."""
        ...


class Storage(Protocol):
    """The store as a whole."""

    @property
    def incarnation(self) -> str:
        """Which life of the logs this is: letters and digits.

        A restore begins another one, where a sequence may hold another event.
        """
        ...

    async def clear(self, session_id: SessionId) -> None:
        """Remove all of a deleted session except its tombstone. Safe to repeat, also by two processes at once."""
        ...

    async def check(self) -> None:
        """Return if the store takes a write and answers."""
        ...

    async def close(self) -> None:
        """Close the database, for all stores on it."""
        ...


class SessionLog(EventLog, Documents, Claims, SessionIndex, Storage, Protocol):
    """All five, for services that need most of them."""
