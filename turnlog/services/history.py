"""The event history of a session: pages of its log, from either end."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import chain, repeat

from turnlog.domain.chunks import Event
from turnlog.domain.events import DELTA_TYPES, MessageStart
from turnlog.domain.history import Entry, PageBuilder, StepAttempt, attempt_of, matches, matches_any, settles_attempt
from turnlog.domain.ids import SessionId
from turnlog.domain.pages import MAX_RESPONSE_BYTES
from turnlog.domain.session import SessionState, require_owned
from turnlog.ports import SessionLog
from turnlog.services.log.large_texts import event_size, load_text_of

_CHUNKS_PER_READ = (8, 32, 64)
"""The sizes of the first, the second and all later reads: a chunk may hold one event or a hundred."""

_MAX_EVENTS_READ = 500
"""A page ends after so many events, even if it is not full. This bounds the cost of a request with any filter.

With a larger `limit` the page ends after `limit` events.
"""


@dataclass(frozen=True)
class PageQuery:
    """Which events a page holds: those between `after` and `before`, both excluded, from either end.

    `types` are names or patterns; empty means all. `coalesce`: the deltas of each attempt are joined, and void attempts
    are left out. `limit` counts the entries that remain.
    """

    after: int = 0
    before: int | None = None
    limit: int = 100
    newest: bool = False
    types: Sequence[str] = ()
    coalesce: bool = True


@dataclass(frozen=True)
class EventPage:
    """`next_cursor` is `after` of the next page (newest first: `before`). None if this is the last page."""

    entries: Sequence[Entry]
    next_cursor: int | None
    head: int


class History:
    def __init__(self, log: SessionLog) -> None:
        self._log = log

    async def page(self, owner: str, session_id: SessionId, query: PageQuery) -> EventPage:
        """A page of the log as it is now, up to its head.

        It may have fewer entries than `limit`, even none, and still have a next page, because its cost is bounded.
        """
        state = require_owned(await self._log.state(session_id), owner, session_id)
        before = state.head + 1 if query.before is None else min(query.before, state.head + 1)
        builder = PageBuilder(query.limit, query.types, coalesce=query.coalesce, newest=query.newest)
        cursor = await self._fill(builder, state, query, before)
        return EventPage(builder.entries, cursor, state.head)

    async def _fill(self, builder: PageBuilder, state: SessionState, query: PageQuery, before: int) -> int | None:
        """Add the page's events. Returns the cursor of the next page, or None if there is none."""
        step, last = (-1, query.after + 1) if query.newest else (1, before - 1)
        count, max_count = 0, max(query.limit, _MAX_EVENTS_READ)
        bytes_left = MAX_RESPONSE_BYTES
        async with aclosing(self._sized_events(state.session_id, query, before)) as events:
            async for event, size in events:
                known = before - 1 if query.newest else event.sequence - 1
                if size > bytes_left and builder.entries:
                    await self._drop_void(builder, state, known)
                    return event.sequence - step
                bytes_left -= size
                while not builder.add(event):
                    if not await self._drop_void(builder, state, known):
                        return event.sequence - step
                count += 1
                if count == max_count and event.sequence != last:
                    await self._drop_void(builder, state, before - 1 if query.newest else event.sequence)
                    return event.sequence
        await self._drop_void(builder, state, before - 1)
        return None

    async def _sized_events(
        self, session_id: SessionId, query: PageQuery, before: int
    ) -> AsyncGenerator[tuple[Event, int]]:
        """The events with the sizes that they add to the page. Those that match have their large texts."""
        async with aclosing(self._events(session_id, query, before)) as events:
            async for event in events:
                if matches(event, query.types):
                    whole = await load_text_of(self._log, session_id, event)
                    yield whole, event_size(whole)
                else:
                    yield event, 0

    async def _events(self, session_id: SessionId, query: PageQuery, before: int) -> AsyncGenerator[Event]:
        """The events between the query's cursors that may match, from the requested end."""
        after, newest = query.after, query.newest
        skip_deltas = bool(query.types) and not any(matches_any(query.types, delta) for delta in DELTA_TYPES)
        for limit in chain(_CHUNKS_PER_READ, repeat(_CHUNKS_PER_READ[-1])):
            chunks = await self._log.read(
                session_id, after, limit, before=before, newest=newest, skip_deltas=skip_deltas
            )
            events = [event for chunk in chunks for event in chunk.events if after < event.sequence < before]
            for event in reversed(events) if newest else events:
                yield event
            if not chunks.has_more:
                return
            after, before = (after, chunks[0].first) if newest else (chunks[-1].last, before)

    async def _drop_void(self, builder: PageBuilder, state: SessionState, after: int) -> bool:
        """Drop the undecided attempt if an event later than `after` makes it void. Returns whether it did."""
        attempt = builder.undecided_attempt
        if attempt is None or not await self._is_void(state, attempt, after):
            return False
        builder.drop(attempt)
        return True

    async def _is_void(self, state: SessionState, attempt: StepAttempt, after: int) -> bool:
        turn, limit = state.active_turn, _CHUNKS_PER_READ[0]
        if turn is not None and turn.call is not None and (turn.turn_id, turn.step) == (attempt.turn_id, attempt.step):
            return turn.call.number > attempt.number
        # The attempt is over, so the deciding event is in the log. Only outside events can come before it.
        while chunks := await self._log.read(state.session_id, after, limit, skip_deltas=True):
            for event in (event for chunk in chunks for event in chunk.events if event.sequence > after):
                if settles_attempt(event):
                    return False
                if isinstance(event.data, MessageStart):
                    later = attempt_of(event)
                    return later is not None and later[:2] == attempt[:2] and later.number > attempt.number
            after = chunks[-1].last
        return False
