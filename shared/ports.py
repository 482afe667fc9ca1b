"""What the services ask of the world: a log, a model, a scheduler, a clock."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from shared.domain.chunks import Chunk
from shared.domain.documents import AnyDocument, Document, IdempotencyRecord
from shared.domain.ids import InstanceId, ProjectId, SessionId, TurnId, WriterId
from shared.domain.listing import SessionFilter
from shared.domain.project import Project
from shared.domain.rooms import Room, RoomEntry
from shared.domain.session import SessionState
from shared.domain.values import ModelRequest, ToolCall, Usage

D = TypeVar("D", bound=Document)


class Tail(Protocol):
    """A reader's ear on a session's log."""

    async def wait(self, after: int, at_most: timedelta) -> Sequence[Chunk]:
        """Wait until something may follow `after`, or `at_most` has passed.

        Returns chunks that follow `after` without a gap where they are at hand. An empty answer says nothing: read on.
        """
        ...


class SessionLog(Protocol):
    """The logs of all sessions, each gapless and with one writer at every place.

    Every method raises StoreUnavailableError when the store doesn't answer.
    """

    async def append(
        self, chunk: Chunk, checkpoint: SessionState | None = None, documents: Sequence[AnyDocument] = ()
    ) -> None:
        """Write `chunk` with the state after it and its documents, all of it or nothing.

        Raises:
            SequenceTakenError: another writer holds this place; read on and decide again.
        """
        ...

    async def state(self, session_id: SessionId) -> SessionState | None:
        """The session as its whole log says, read strongly; None if there is none. A deleted one stays as a mark."""
        ...

    async def outline(self, session_id: SessionId) -> SessionState | None:
        """`state`, but for the newest deltas, which may be left out: cheaper while an answer is being written."""
        ...

    async def read(
        self,
        session_id: SessionId,
        after: int,
        limit: int,
        *,
        before: int | None = None,
        newest: bool = False,
        skip_deltas: bool = False,
    ) -> Sequence[Chunk]:
        """At most `limit` chunks that hold events between `after` and `before`, both excluded, oldest first.

        Read strongly. `newest`: the last ones instead of the first. `skip_deltas`: only those that hold more than
        deltas; the others are not read.
        """
        ...

    async def newest_of_type(self, session_id: SessionId, event_type: str, limit: int) -> Sequence[Chunk]:
        """The newest `limit` chunks that hold an event of a type, oldest first."""
        ...

    def watch(self, session_id: SessionId, *, eager: bool = True) -> AbstractContextManager[Tail]:
        """Listen from now on: what is appended after this call is not missed by `Tail.wait`.

        `eager=False` is for who can bear to learn late of what other processes append, and not to pay for polling.
        """
        ...

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
    ) -> Sequence[D]:
        """At most `limit` documents of a kind of an order between `after` and `before`, both excluded, in order.

        `newest`: the last ones of them instead of the first.
        """
        ...

    async def put(self, session_id: SessionId, document: AnyDocument) -> None:
        """Write a document on its own: leases, and what is to be there before the chunk that names it."""
        ...

    async def claim(self, record: IdempotencyRecord) -> IdempotencyRecord | None:
        """Keep `record` in a place of its own, which is no session's; if one of its id is there already, that one."""
        ...

    async def release(self, record: IdempotencyRecord) -> None:
        """Take back what was claimed with this very record."""
        ...

    async def silence(self, session_id: SessionId, writer: WriterId) -> timedelta | None:
        """How long ago, by the store's clock, `writer` last appended or renewed its lease; None if it never did."""
        ...

    async def sessions(self, wanted: SessionFilter, *, before: str | None, limit: int) -> Sequence[SessionState]:
        """Stored states, newest first; `before` is the `listing_key` of the last one of the page before."""
        ...

    async def due_for_repair(self, now: datetime, limit: int) -> Sequence[SessionState]:
        """Sessions that are to be looked at by `now` (see `SessionState.look_at`), those longest due first."""
        ...

    async def clear(self, session_id: SessionId) -> None:
        """Remove everything of a deleted session but its mark. Safe to repeat; call it until nothing is left."""
        ...

    async def check(self) -> None:
        """Answer if the store does."""
        ...

    async def close(self) -> None: ...


class ModelStream(Protocol):
    """A model's answer while it is being written. After the iteration ends, the rest is known."""

    def __aiter__(self) -> AsyncIterator[str]:
        """Pieces of text as they come. Raises ModelError."""
        ...

    @property
    def text(self) -> str: ...
    @property
    def tool_calls(self) -> Sequence[ToolCall]: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def usage(self) -> Usage | None: ...
    @property
    def response(self) -> dict[str, Any]:
        """The `chat.completion` object assembled so far."""
        ...


class ModelClient(Protocol):
    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[ModelStream]:
        """Call the model; leaving the context closes the connection, which stops generation and billing.

        Raises:
            ModelError: refused, unreachable or broken off, with a code a client can act on.
        """
        ...

    async def check(self) -> None:
        """Answer if the model's server does."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class TurnStart:
    """What an instance is told of its turn: ids and limits, never a transcript.

    `agent` is whose step limit holds. `first_attempt` is above every attempt that an earlier instance may have begun.
    `trace_id` is the trace of the request that posted the turn.
    """

    session_id: SessionId
    turn_id: TurnId
    instance_id: InstanceId
    agent: str
    deadline: datetime
    first_attempt: int = 1
    trace_id: str | None = None


class TurnScheduler(Protocol):
    """Durable Functions, as far as a turn needs it: the only place that knows its client."""

    async def start(self, turn: TurnStart) -> None:
        """Start the instance that runs a turn; nothing happens if it runs already.

        A start that fails is logged and left to the sweep: the claim in the log is what was acknowledged.
        """
        ...

    async def exists(self, instance_id: InstanceId) -> bool: ...


class ProjectStore(Protocol):
    """The projects. Every method raises StoreUnavailableError when the store doesn't answer."""

    async def create(self, project: Project) -> None:
        """Raises ProjectExistsError: the id is taken, and not by this very write."""
        ...

    async def get(self, project_id: ProjectId) -> Project | None:
        """The project as it is now, read strongly. A deleted one stays as a mark."""
        ...

    async def replace(self, project: Project) -> None:
        """Write `project`, whose revision follows the stored one, in place of that; to do so again changes nothing.

        Raises:
            RevisionTakenError: another change was first; read on and decide again.
        """
        ...

    async def list(self, owner: str, *, before: str | None, limit: int) -> Sequence[Project]:
        """An owner's projects that are not deleted, newest first, before the `listing_key` `before`."""
        ...

    async def deleted_with_sessions(self, limit: int) -> Sequence[Project]:
        """Deleted projects whose sessions may still be there, least recently changed first."""
        ...


@dataclass(frozen=True)
class Connection:
    """Where a client connects, and with which token. The token is short-lived and for one client."""

    url: str
    access_token: str


class SignalR(Protocol):
    """A service that sends messages to groups of connected clients."""

    async def admit(self, groups: Sequence[str]) -> Connection:
        """Prepare a connection that receives the messages of these groups and of no others.

        Raises SignalRUnavailableError: the service does not answer, or does not admit the app.
        """
        ...

    async def close(self) -> None:
        """Close what was opened."""
        ...


class RoomEar(Protocol):
    """A watcher's ear on a room."""

    async def wait(self, after: str, at_most: timedelta) -> Sequence[RoomEntry]:
        """Wait as `Tail.wait` does. Entries given follow `after` without a gap; an empty answer says nothing."""
        ...


class RoomFeed(Protocol):
    """What happens in rooms, kept for 7 days: at least once, and in order per session. Cursors are opaque texts.

    Every method raises StoreUnavailableError when the store doesn't answer.
    """

    async def newest_cursor(self, room: Room) -> str:
        """The cursor behind everything that the room is told of by now: whatever is acknowledged later follows it."""
        ...

    async def check_cursor(self, room: Room, cursor: str) -> str:
        """The cursor, or the newest if it lies beyond the end. Raises InvalidRequestError: it is none of ours."""
        ...

    async def read(self, room: Room, after: str, limit: int) -> Sequence[RoomEntry]:
        """At most `limit` entries that follow `after`."""
        ...

    def watch(self, room: Room) -> AbstractContextManager[RoomEar]:
        """Listen from now on: what is appended after this call is not missed by `RoomEar.wait`."""
        ...


class RoomWriter(Protocol):
    """Writes rooms where the log can't in the transaction that appends."""

    async def write(self, chunks: Sequence[Chunk], states: Mapping[SessionId, SessionState]) -> None:
        """Tell the rooms of `chunks`, of each session in order; `states` are what is known of some of the sessions.

        Safe to repeat, and to do twice at once: a room is told of a chunk once. A deleted session is told as such, and
        what it told before is taken back. Raises StoreUnavailableError when not all of it could be written.
        """
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, in UTC."""
        ...
