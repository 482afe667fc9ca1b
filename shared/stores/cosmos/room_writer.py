"""Writes rooms in Cosmos DB, from the change feed of the sessions; see `shared.ports.RoomWriter`."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.domain.chunks import Chunk
from shared.domain.fold import needs_checkpoint
from shared.domain.ids import SessionId
from shared.domain.rooms import Room, RoomEntry, concerns, has_room_events, is_visible, room_entry
from shared.domain.session import SessionState
from shared.stores.cosmos import queries
from shared.stores.cosmos.database import Database
from shared.stores.cosmos.items import STATE_ID, state_of
from shared.stores.cosmos.requests import Item, create_item, query_items, read_item, with_retries
from shared.stores.cosmos.room_items import SEQUENCE_DIGITS, blank_item, entry_id, entry_item, room_key, rooms_of

_MAX_SESSIONS_AT_ONCE = 16
_BLANK_BATCH = 100
_UNWRITABLE = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}

_log = logging.getLogger(__name__)


class CosmosRoomWriter:
    """Writes the entries of one session in order. Another process that writes the same finds them there."""

    def __init__(self, database: Database) -> None:
        self._database = database
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
                    await _run_all(self._create(entry_item(room, item_id, entry)) for room in rooms)

    async def _delete(self, room: Room, state: SessionState, chunks: Sequence[Chunk], *, is_new: bool) -> None:
        """Blank the entries of a deleted session, and add one for the deletion if that is what changed.

        The log may be cleared already, so that only the tombstone is left. Blanks are also written where there was no
        entry: a process that is late with this batch could otherwise create one.
        """
        last = entry_id(state.session_id, state.epoch, state.head)
        late = {entry_id(state.session_id, chunk.epoch, chunk.first) for chunk in chunks}
        blanked = sorted(({*late, *await self._entries(room, state)}) - {last})
        for start in range(0, len(blanked), _BLANK_BATCH):
            await self._blank(room, state.session_id, blanked[start : start + _BLANK_BATCH])
        end = next((chunk for chunk in chunks if chunk.last == state.head), None)
        if end is not None:
            await self._create(entry_item(room, last, room_entry(0, 0, end, state)))
        elif is_new:
            await self._create(entry_item(room, last, RoomEntry(0, 0, state.session_id, (), is_deletion=True)))

    async def _checkpoint(self, session_id: SessionId) -> SessionState | None:
        """The stored state. Every event that changes a session for its rooms is stored together with the state."""
        item = await read_item(await self._database.sessions(), STATE_ID, session_id)
        try:
            return None if item is None else state_of(item)
        except ValueError:  # what pydantic raises
            _log.exception("session %s gets no room entries: its state can't be read", session_id)
            return None

    async def _entries(self, room: Room, state: SessionState) -> set[str]:
        """The ids of all entries that a room holds of a session."""
        prefix = entry_id(state.session_id, state.epoch, 0)[:-SEQUENCE_DIGITS]
        query = queries.room_entries(room_key(room), f"{prefix}0", f"{prefix}:")
        found = await query_items(await self._database.rooms(), query)
        # The id of another session may begin with this prefix.
        return {item["id"] for item in found if len(item["id"]) == len(prefix) + SEQUENCE_DIGITS}

    async def _create(self, item: Item) -> None:
        try:
            await create_item(await self._database.rooms(), item)
        except CosmosHttpResponseError as error:
            if error.status_code not in _UNWRITABLE:
                raise
            # Cosmos DB would never accept it, and the change feed would not move past it.
            _log.exception("room %s gets no entry %s", item["room"], item["id"])

    async def _blank(self, room: Room, session_id: SessionId, ids: Sequence[str]) -> None:
        container = await self._database.rooms()
        operations = [("upsert", (blank_item(room, session_id, item_id),)) for item_id in ids]
        await with_retries(lambda: container.execute_item_batch(operations, room_key(room), no_response=True))


async def _run_all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Finish all of `works`, even if one fails; then raise its error."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
