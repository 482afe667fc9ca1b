"""Writes rooms in Cosmos DB, from the change feed of the sessions; see `turnlog.ports.RoomWriter`."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceExistsError

from turnlog.domain.chunks import Chunk
from turnlog.domain.fold import needs_checkpoint
from turnlog.domain.ids import SessionId
from turnlog.domain.rooms import Room, RoomEntry, concerns, has_room_events, is_visible, room_entry
from turnlog.domain.session import SessionState
from turnlog.stores.cosmos import queries
from turnlog.stores.cosmos.containers import ROOMS_TTL
from turnlog.stores.cosmos.database import Database
from turnlog.stores.cosmos.items import STATE_ID, state_of
from turnlog.stores.cosmos.requests import PartitionFullError, query_items, read_item, with_retries
from turnlog.stores.cosmos.room_items import (
    SEQUENCE_DIGITS,
    blank_item,
    day_of,
    entry_id,
    entry_item,
    room_key,
    rooms_of,
)

_MAX_SESSIONS_AT_ONCE = 16
_MAX_UNWRITABLE = 1000  # rooms that are counted
_BLANK_BATCH = 100
_UNWRITABLE = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}

_log = logging.getLogger(__name__)


class CosmosRoomWriter:
    """Writes the entries of one session in order. Another process that writes the same finds them there."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self.unwritable: Counter[str] = Counter()
        """How many entries each room did not get, because Cosmos DB never accepts them."""
        self._slots = asyncio.Semaphore(_MAX_SESSIONS_AT_ONCE)

    async def write(self, chunks: Sequence[Chunk], states: Mapping[SessionId, SessionState]) -> None:
        by_session = {session_id: list[Chunk]() for session_id, state in states.items() if state.deleted}
        for chunk in filter(has_room_events, chunks):
            by_session.setdefault(chunk.session_id, []).append(chunk)
        await _run_all(self._write_session(each, by_session[each], states.get(each)) for each in by_session)

    async def _write_session(self, session_id: SessionId, chunks: list[Chunk], known: SessionState | None) -> None:
        async with self._slots:
            # The feed returns the documents of a transaction in any order, and a state only in its newest version.
            chunks.sort(key=lambda chunk: chunk.first)
            needed = max((chunk.last for chunk in chunks if needs_checkpoint(chunk)), default=0)
            state = known if known is not None and known.head >= needed else await self._checkpoint(session_id)
            if state is None or not state.is_complete:  # a fork whose copy is not finished
                return
            if state.deleted:
                await _run_all(self._delete(room, state, chunks, is_new=state is known) for room in rooms_of(state))
                return
            for chunk in chunks:
                if is_visible(chunk, state):
                    item_id, entry = entry_id(session_id, chunk.epoch, chunk.first), room_entry(0, 0, chunk, state)
                    rooms = [room for room in rooms_of(state) if concerns(room, entry)]
                    await _run_all(self._create(room, item_id, entry) for room in rooms)

    async def _delete(self, room: Room, state: SessionState, chunks: Sequence[Chunk], *, is_new: bool) -> None:
        """Blank the entries of a deleted session, and add one for the deletion if that is what changed.

        The log may be cleared already, so that only the tombstone is left. Blanks are also written where there was no
        entry: a process that is late with this batch could otherwise create one.
        """
        last = entry_id(state.session_id, state.epoch, state.head)
        late = {entry_id(state.session_id, chunk.epoch, chunk.first) for chunk in chunks}
        today = day_of(self._now())
        for day in range(day_of(self._now() - ROOMS_TTL), today + 1):
            found = await self._entries(room, day, state)
            blanked = sorted((found | late if day == today else found) - {last})
            for start in range(0, len(blanked), _BLANK_BATCH):
                await self._blank(room, day, state.session_id, blanked[start : start + _BLANK_BATCH])
        end = next((chunk for chunk in chunks if chunk.last == state.head), None)
        if end is not None:
            await self._create(room, last, room_entry(0, 0, end, state))
        elif is_new:
            await self._create(room, last, RoomEntry(0, 0, state.session_id, (), is_deletion=True))

    async def _checkpoint(self, session_id: SessionId) -> SessionState | None:
        """The stored state. Every event that changes a session for its rooms is stored together with the state."""
        item = await read_item(await self._database.sessions(), STATE_ID, session_id)
        try:
            return None if item is None else state_of(item)
        except ValueError:  # what pydantic raises
            _log.exception("session %s gets no room entries: its state can't be read", session_id)
            return None

    async def _entries(self, room: Room, day: int, state: SessionState) -> set[str]:
        """The ids of all entries of a session that a room got on a day."""
        prefix = entry_id(state.session_id, state.epoch, 0)[:-SEQUENCE_DIGITS]
        query = queries.room_entries(room_key(room, day), f"{prefix}0", f"{prefix}:")
        found = await query_items(await self._database.rooms(), query)
        # The id of another session may begin with this prefix.
        return {item["id"] for item in found if len(item["id"]) == len(prefix) + SEQUENCE_DIGITS}

    async def _create(self, room: Room, item_id: str, entry: RoomEntry) -> None:
        container = await self._database.rooms()
        yesterday = day_of(self._now()) - 1
        is_late = bool(entry.events) and day_of(entry.events[-1].timestamp.timestamp()) <= yesterday
        if is_late and await read_item(container, item_id, room_key(room, yesterday)) is not None:
            return  # the batch was delivered before midnight already

        async def call() -> None:
            # The day is that of this attempt: readers soon leave the day before.
            item = entry_item(room, day_of(self._now()), item_id, entry)
            with suppress(CosmosResourceExistsError):
                await container.create_item(item, no_response=True)

        await self._write_or_skip(room, call, 1)

    async def _blank(self, room: Room, day: int, session_id: SessionId, ids: Sequence[str]) -> None:
        container = await self._database.rooms()
        operations = [("upsert", (blank_item(room, day, session_id, item_id),)) for item_id in ids]

        async def call() -> None:
            await container.execute_item_batch(operations, room_key(room, day), no_response=True)

        await self._write_or_skip(room, call, len(ids))

    async def _write_or_skip(self, room: Room, call: Callable[[], Awaitable[None]], count: int) -> None:
        """Run `call`. If Cosmos DB will never accept it, count it: the feed must move on, for all other rooms."""
        try:
            await with_retries(call)
        except CosmosHttpResponseError as error:
            if error.status_code not in _UNWRITABLE:
                raise
            self._skip(room, error, count)
        except PartitionFullError as error:
            self._skip(room, error, count)

    def _skip(self, room: Room, error: Exception, count: int) -> None:
        key = room_key(room, day_of(self._now()))
        if len(self.unwritable) >= _MAX_UNWRITABLE:
            self.unwritable.clear()
        before = self.unwritable[key]
        self.unwritable[key] += count
        # The first one, and then each time that the number has doubled: a full room is full for the rest of its day.
        if before.bit_length() != self.unwritable[key].bit_length():
            reason = str(error).splitlines()[0]
            _log.error("room %s could not get %s entries until now: %s", key, self.unwritable[key], reason)


async def _run_all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Finish all of `works`, even if one fails; then raise its error."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
