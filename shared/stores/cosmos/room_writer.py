"""Writing rooms in Cosmos DB, from what the change feed of the sessions delivers; see `shared.ports.RoomWriter`."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceExistsError, CosmosResourceNotFoundError

from shared.domain.chunks import Chunk
from shared.domain.fold import needs_checkpoint
from shared.domain.ids import SessionId
from shared.domain.rooms import Room, RoomEntry, concerns, has_room_events, is_visible, room_entry
from shared.domain.session import SessionState
from shared.stores.cosmos.calls import with_retries
from shared.stores.cosmos.database import Database
from shared.stores.cosmos.items import STATE_ID, state_of
from shared.stores.cosmos.room_items import blank_item, entry_id, entry_item, room_key, rooms_of

_LOGGER = logging.getLogger(__name__)
_SESSIONS_AT_ONCE = 16
_BLANKED_AT_ONCE = 100
_UNWRITABLE = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}

# The only query of the container. Its bounds are indexed; that ids may begin alike is seen to where they are read.
_ENTRIES = "SELECT c.id FROM c WHERE c.room = @room AND c.id >= @from AND c.id < @to AND IS_DEFINED(c.told)"


class CosmosRoomWriter:
    """Writes a session's entries one after another: whoever else writes the same finds them there, in their order."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._slots = asyncio.Semaphore(_SESSIONS_AT_ONCE)

    async def write(self, chunks: Sequence[Chunk], states: Mapping[SessionId, SessionState]) -> None:
        told = {session_id: list[Chunk]() for session_id, state in states.items() if state.deleted}
        for chunk in filter(has_room_events, chunks):
            told.setdefault(chunk.session_id, []).append(chunk)
        await _all(self._tell(session_id, told[session_id], states.get(session_id)) for session_id in told)

    async def _tell(self, session_id: SessionId, chunks: list[Chunk], known: SessionState | None) -> None:
        async with self._slots:
            # Documents of one transaction come in any order, and a state that was written again comes later.
            chunks.sort(key=lambda chunk: chunk.first)
            needed = max((chunk.last for chunk in chunks if needs_checkpoint(chunk)), default=0)
            state = known if known is not None and known.head >= needed else await self._checkpoint(session_id)
            if state is None or not state.is_complete:  # a fork that is still copied, or never was
                return
            if state.deleted:
                await _all(self._take_back(room, state, chunks, is_news=state is known) for room in rooms_of(state))
                return
            for chunk in chunks:
                if is_visible(chunk, state):
                    item_id, entry = entry_id(session_id, chunk.epoch, chunk.first), room_entry("", "", chunk, state)
                    told = [room for room in rooms_of(state) if concerns(room, entry)]
                    await _all(self._create(entry_item(room, item_id, entry)) for room in told)

    async def _take_back(self, room: Room, state: SessionState, chunks: Sequence[Chunk], *, is_news: bool) -> None:
        """Take back what a deleted session told, and tell of its deletion if that is what changed.

        Its log may be cleared by then, and only the mark be left to say so. Entries are blanked, and made blank where
        there was none: one that is deleted could be created again by who is late with this batch.
        """
        last = entry_id(state.session_id, state.epoch, state.head)
        early = {entry_id(state.session_id, chunk.epoch, chunk.first) for chunk in chunks}
        blanked = sorted(({*early, *await self._entries(room, state)}) - {last})
        for start in range(0, len(blanked), _BLANKED_AT_ONCE):
            await self._blank(room, state.session_id, blanked[start : start + _BLANKED_AT_ONCE])
        end = next((chunk for chunk in chunks if chunk.last == state.head), None)
        if end is not None:
            await self._create(entry_item(room, last, room_entry("", "", end, state)))
        elif is_news:
            await self._create(entry_item(room, last, RoomEntry("", "", state.session_id, (), deletes=True)))

    async def _checkpoint(self, session_id: SessionId) -> SessionState | None:
        """The stored state: what changes a session for its rooms is stored together with it."""
        container = await self._database.sessions()

        async def call() -> SessionState | None:
            try:
                return state_of(await container.read_item(STATE_ID, session_id))
            except CosmosResourceNotFoundError:
                return None
            except ValueError:  # what pydantic raises
                _LOGGER.exception("no room is told of session %s: its state can't be read", session_id)
                return None

        return await with_retries(call)

    async def _entries(self, room: Room, state: SessionState) -> set[str]:
        """The ids of what a room still tells of a session."""
        container = await self._database.rooms()
        prefix = entry_id(state.session_id, state.epoch, 0).removesuffix("0" * 12)
        values = {"room": room_key(room), "from": f"{prefix}0", "to": f"{prefix}:"}
        parameters: list[dict[str, Any]] = [{"name": f"@{name}", "value": value} for name, value in values.items()]

        async def call() -> set[str]:
            answer = container.query_items(_ENTRIES, parameters=parameters, partition_key=room_key(room))
            return {item["id"] async for item in answer}

        return {found for found in await with_retries(call) if len(found) == len(prefix) + 12}

    async def _create(self, item: dict[str, Any]) -> None:
        container = await self._database.rooms()

        async def call() -> None:
            try:
                await container.create_item(item, no_response=True)
            except CosmosResourceExistsError:
                pass  # told before
            except CosmosHttpResponseError as error:
                if error.status_code not in _UNWRITABLE:
                    raise
                # It would never be taken, and the feed would stand still for it.
                _LOGGER.exception("the room %s is not told of %s", item["room"], item["id"])

        await with_retries(call)

    async def _blank(self, room: Room, session_id: SessionId, ids: Sequence[str]) -> None:
        container = await self._database.rooms()
        operations = [("upsert", (blank_item(room, session_id, item_id),)) for item_id in ids]
        await with_retries(lambda: container.execute_item_batch(operations, room_key(room), no_response=True))


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of `works`, also if one fails; then raise what it raised."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
