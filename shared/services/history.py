"""The log as a resource that is read: pages of it from either end."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import chain, repeat

from shared.domain.chunks import (
    Event,
)
from shared.domain.events import (
    MessageStart,
)
from shared.domain.history import DELTA, AttemptAt, Entry, Walk, attempt_of, matches_any, settles_attempt
from shared.domain.ids import SessionId
from shared.domain.session import SessionState, require_owned
from shared.ports import SessionLog
from shared.services.reading import load_texts

_CHUNKS_AT_ONCE = (8, 32, 64)
"""How many chunks are read at first, then, and from then on: a chunk may hold one event or a hundred."""

_MOST_WALKED = 500
"""Events after which a page ends, full or not: a request costs so much and no more, whatever is joined or filtered.

With a larger `limit` it ends after as many as that.
"""


@dataclass(frozen=True)
class PageQuery:
    """Which events are wanted: those between `after` and `before`, both excluded, from either end.

    `types` are names or patterns; empty means all. `coalesce`: deltas joined per step and attempt, void attempts left
    out; `limit` counts what is left.
    """

    after: int = 0
    before: int | None = None
    limit: int = 100
    newest: bool = False
    types: Sequence[str] = ()
    coalesce: bool = True


@dataclass(frozen=True)
class EventPage:
    """`next_cursor` is the next page's `after` (newest first: its `before`), and None when this is the last one."""

    entries: Sequence[Entry]
    next_cursor: int | None
    head: int


class History:
    def __init__(self, log: SessionLog) -> None:
        self._log = log

    async def page(self, owner: str, session_id: SessionId, query: PageQuery) -> EventPage:
        """A page of the log as it is now, up to its head.

        It may hold fewer entries than `limit`, even none, and have a next page: its work is bounded.
        """
        state = require_owned(await self._log.state(session_id), owner, session_id)
        before = state.head + 1 if query.before is None else min(query.before, state.head + 1)
        walk = Walk(query.limit, query.types, coalesce=query.coalesce, newest=query.newest)
        cursor = await self._walked(walk, state, query, before)
        entries = walk.entries
        events = await load_texts(self._log, session_id, [entry.event for entry in entries])
        listed = [replace(entry, event=event) for entry, event in zip(entries, events, strict=True)]
        return EventPage(listed, cursor, state.head)

    async def _walked(self, walk: Walk, state: SessionState, query: PageQuery, before: int) -> int | None:
        """Walk over the page's events; where the next page begins, or None if there is none."""
        step, last = (-1, query.after + 1) if query.newest else (1, before - 1)
        walked, most = 0, max(query.limit, _MOST_WALKED)
        async with aclosing(self._events(state.session_id, query, before)) as events:
            async for event in events:
                edge = before - 1 if query.newest else event.sequence - 1
                while not walk.take(event):
                    if not await self._left_out(walk, state, edge):
                        return event.sequence - step
                walked += 1
                if walked == most and event.sequence != last:
                    await self._left_out(walk, state, before - 1 if query.newest else event.sequence)
                    return event.sequence
        await self._left_out(walk, state, before - 1)
        return None

    async def _events(self, session_id: SessionId, query: PageQuery, before: int) -> AsyncGenerator[Event]:
        """The events of the window that may be wanted, from the end that is asked for."""
        after, newest = query.after, query.newest
        skip_deltas = bool(query.types) and not matches_any(query.types, DELTA)
        for most in chain(_CHUNKS_AT_ONCE, repeat(_CHUNKS_AT_ONCE[-1])):
            chunks = await self._log.read(
                session_id, after, most, before=before, newest=newest, skip_deltas=skip_deltas
            )
            events = [event for chunk in chunks for event in chunk.events if after < event.sequence < before]
            for event in reversed(events) if newest else events:
                yield event
            if len(chunks) < most:
                return
            after, before = (after, chunks[0].first) if newest else (chunks[-1].last, before)

    async def _left_out(self, walk: Walk, state: SessionState, after: int) -> bool:
        """Whether the page held a part of an attempt that something later than `after` has made void."""
        attempt = walk.in_doubt
        if attempt is None or not await self._is_void(state, attempt, after):
            return False
        walk.leave_out(attempt)
        return True

    async def _is_void(self, state: SessionState, attempt: AttemptAt, after: int) -> bool:
        turn, most = state.active_turn, _CHUNKS_AT_ONCE[0]
        if turn is not None and turn.call is not None and (turn.turn_id, turn.step) == (attempt.turn_id, attempt.step):
            return turn.call.number > attempt.number
        # The attempt is over, so what decides is in the log, and soon: nothing else but outside events comes between.
        while chunks := await self._log.read(state.session_id, after, most, skip_deltas=True):
            for event in (event for chunk in chunks for event in chunk.events if event.sequence > after):
                if settles_attempt(event):
                    return False
                if isinstance(event.data, MessageStart):
                    later = attempt_of(event)
                    return later is not None and later[:2] == attempt[:2] and later.number > attempt.number
            after = chunks[-1].last
        return False
