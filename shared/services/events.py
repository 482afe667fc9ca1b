"""The log as a resource: pages of it, and events appended from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.documents import IdempotencyRecord
from shared.domain.errors import SessionArchivedError
from shared.domain.events import Draft, Event, Outside
from shared.domain.ids import SessionId
from shared.domain.session import SessionState
from shared.ports import Clock, SessionLog
from shared.services.reading import filled_in
from shared.services.sessions import IdempotencyKey, belonging
from shared.services.writer import Decision, SessionWriter

_PAGE_CHUNKS = 100


@dataclass(frozen=True)
class EventPage:
    """`next_cursor` is None when the page reaches the head."""

    events: Sequence[Event]
    next_cursor: int | None
    head: int


@dataclass(frozen=True)
class Appended:
    """The places of what was appended; `replayed` says that an earlier request with the same key did it."""

    sequences: Sequence[int]
    replayed: bool = False


class Events:
    def __init__(self, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def page(self, owner: str, session_id: SessionId, after: int, limit: int) -> EventPage:
        """At most `limit` events later than `after`, oldest first."""
        state = belonging(await self._log.state(session_id), owner, session_id)
        events: list[Event] = []
        position = after
        while len(events) < limit and (chunks := await self._log.read(session_id, position, _PAGE_CHUNKS)):
            events += [event for chunk in chunks for event in chunk.events if event.sequence > position]
            position = chunks[-1].last
        events = events[:limit]
        last = events[-1].sequence if events else state.head
        head = max(state.head, last)
        return EventPage(await filled_in(self._log, session_id, events), last if last < head else None, head)

    async def append(
        self,
        owner: str,
        session_id: SessionId,
        events: Sequence[tuple[str, dict[str, Any]]],
        trace_id: str,
        key: IdempotencyKey | None = None,
    ) -> Appended:
        """Append events of other producers, all of them or none.

        They belong to no turn: the running one neither sees nor minds them.
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        await writer.load()
        drafts = [
            Draft(data=Outside(event_type=event_type, fields=fields), trace_id=trace_id)
            for event_type, fields in events
        ]

        async def decide(state: SessionState) -> Decision[Appended]:
            belonging(state, owner, session_id)
            known = None if key is None else await self._log.get(IdempotencyRecord, session_id, key.id)
            if key is not None and (first := key.replayed(known)) is not None:
                return Decision(Appended(range(int(first), int(first) + len(drafts)), replayed=True))
            if state.archived:
                raise SessionArchivedError("The session is archived: PATCH it with archived=false to go on.")
            sequences = range(state.head + 1, state.head + 1 + len(drafts))
            documents = () if key is None else (key.record(str(sequences[0])),)
            return Decision(Appended(sequences), drafts, documents)

        return await writer.settle(decide)
