"""The session log in Cosmos DB; see `turnlog.ports.SessionLog` for what each method promises."""

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from azure.core.exceptions import AzureError
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosResourceExistsError, CosmosResourceNotFoundError

from turnlog.domain.chunks import Chunk
from turnlog.domain.errors import SequenceTakenError, StoreUnavailableError
from turnlog.domain.fold import fold, fold_without_deltas
from turnlog.domain.ids import SessionId, WriterId
from turnlog.domain.listing import SessionFilter
from turnlog.domain.pages import MAX_PAGE_BYTES, MAX_RESPONSE_BYTES, Page
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import AnyDocument, IdempotencyRecord
from turnlog.domain.tolerance import M, load
from turnlog.ports import D, Tail
from turnlog.stores.cosmos import idempotency, queries
from turnlog.stores.cosmos.database import Database
from turnlog.stores.cosmos.items import (
    STATE_ID,
    chunk_id,
    chunk_item,
    chunk_of,
    chunk_size,
    document_item,
    item_id,
    state_item,
)
from turnlog.stores.cosmos.requests import (
    Item,
    iterate_items,
    query_items,
    query_page,
    query_readable,
    read_item,
    upsert_item,
    with_retries,
)
from turnlog.stores.following import MAX_CHUNKS, Feeds, Polling
from turnlog.stores.limits import require_batch_fits
from turnlog.stores.reading import load_state, remains_of, state_or_none

_DELETE_BATCH = 100
_DUE_PAGE = 100

_log = logging.getLogger(__name__)


class CosmosSessionLog:
    """The chunks, the state and the documents of a session are in one partition."""

    def __init__(self, database: Database, incarnation: str) -> None:
        self.incarnation = incarnation
        self._database = database
        polling = Polling[SessionId, Chunk](self._poll, min_pause=0.05, max_pause=1.0, polls_per_entry=3)
        self._feeds = Feeds[SessionId, Chunk](MAX_CHUNKS, polling)

    async def append(
        self, chunk: Chunk, checkpoint: SessionState | None = None, documents: Sequence[AnyDocument] = ()
    ) -> None:
        created = chunk_item(chunk)
        states = [] if checkpoint is None else [state_item(checkpoint)]
        upserted = [*states, *(document_item(chunk.session_id, document) for document in documents)]
        require_batch_fits([created["events"], *(item["body"] for item in upserted)])
        if not await self._write(created, upserted):
            await self._require_same(created)
        self._feeds.extend(chunk.session_id, chunk.first - 1, chunk)

    async def state(self, session_id: SessionId) -> SessionState | None:
        checkpoint = await self.checkpoint(session_id)
        return None if checkpoint is None else await self.catch_up(checkpoint)

    async def checkpoint(self, session_id: SessionId) -> SessionState | None:
        item = await self._item(session_id, STATE_ID)
        return None if item is None else load_state(session_id, item["body"])

    async def catch_up(self, checkpoint: SessionState) -> SessionState | None:
        if checkpoint.deleted:
            return checkpoint
        # A point read is cheaper than a query, and usually there is no later chunk.
        next_item = await self._item(checkpoint.session_id, chunk_id(checkpoint.head + 1))
        return checkpoint if next_item is None else await self._fold_later(checkpoint, next_item)

    async def remains(self, session_id: SessionId) -> SessionState | None:
        item = await self._item(session_id, STATE_ID)
        if item is None:
            return None
        newest = await self._query(queries.chunks(session_id, 0, newest=True), 1)
        return remains_of(item["body"], newest[0]["last"] if newest else item["folded_to"])

    async def outline(self, session_id: SessionId) -> SessionState | None:
        checkpoint = await self.checkpoint(session_id)
        if checkpoint is None or checkpoint.deleted:
            return checkpoint
        return await self._without_deltas(checkpoint, checkpoint.head)

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
        query = queries.chunks(session_id, after, before, newest=newest, skip_deltas=skip_deltas)
        return (await self._page(query, limit, MAX_PAGE_BYTES, chunk_size)).map(chunk_of).in_order(newest=newest)

    async def newest_of_type(self, session_id: SessionId, event_type: str, limit: int) -> Page[Chunk]:
        query = queries.chunks_with(session_id, event_type)
        return (await self._page(query, limit, MAX_RESPONSE_BYTES, chunk_size)).map(chunk_of).in_order(newest=True)

    def watch(self, session_id: SessionId, /, *, polls: bool = True) -> AbstractContextManager[Tail[Chunk]]:
        return self._feeds.watch(session_id, polls=polls)

    async def get(self, kind: type[D], session_id: SessionId, document_id: str) -> D | None:
        item = await self._item(session_id, item_id(kind, document_id))
        return None if item is None else load(kind, item["body"])

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
        query = queries.documents(session_id, kind, after, before, newest=newest)
        return (await self._readable(query, kind, limit, max_bytes)).in_order(newest=newest)

    async def put(self, session_id: SessionId, document: AnyDocument) -> None:
        item = document_item(session_id, document)
        require_batch_fits([item["body"]])
        await self._upsert(item)

    async def claim(self, record: IdempotencyRecord) -> IdempotencyRecord | None:
        return await idempotency.claim(await self._database.sessions(), record)

    async def release(self, record: IdempotencyRecord) -> None:
        await idempotency.release(await self._database.sessions(), record)

    async def silence(self, session_id: SessionId, writer: WriterId) -> timedelta | None:
        container = await self._database.sessions()

        async def call() -> timedelta | None:
            answer = container.query_items(**queries.last_writes(session_id, writer), max_item_count=1)
            async for item in answer:
                # Both times are from the store's clock, in whole seconds.
                now = parsedate_to_datetime(answer.get_response_headers()["Date"]).timestamp()
                return timedelta(seconds=max(0.0, now - item["_ts"]))
            return None

        return await with_retries(call)

    async def sessions(self, wanted: SessionFilter, *, before: str | None, limit: int) -> Page[SessionState]:
        return await self._readable(queries.sessions(wanted, before), SessionState, limit, MAX_RESPONSE_BYTES)

    def due_for_repair(self, by: datetime) -> AsyncGenerator[SessionState]:
        return self._due(queries.due("repair_due", by))

    def due_for_clearing(self, by: datetime) -> AsyncGenerator[SessionState]:
        return self._due(queries.due("clear_due", by))

    async def _due(self, query: queries.Query) -> AsyncGenerator[SessionState]:
        async for item in iterate_items(await self._database.sessions(), query, _DUE_PAGE):
            if (state := state_or_none(item["session_id"], item["body"])) is not None:
                yield state

    async def idle_since(self, before: datetime, limit: int) -> Sequence[SessionState]:
        return await self._readable(queries.idle_since(before), SessionState, limit, None)

    async def clear(self, session_id: SessionId) -> None:
        while items := await self._query(queries.all_except(session_id, STATE_ID), _DELETE_BATCH):
            await self._delete(session_id, [str(item["id"]) for item in items])
        tombstone = await self._item(session_id, STATE_ID)
        if tombstone is not None and tombstone["hidden"]:
            await self._upsert({name: value for name, value in tombstone.items() if name != "clear_due"})

    async def check(self) -> None:
        await self._database.check()

    async def close(self) -> None:
        await self._database.close()

    async def _write(self, created: Item, upserted: Sequence[Item]) -> bool:
        """Create the chunk, and upsert the rest with it. False if an item with the chunk's id exists.

        The id is the first sequence, so Cosmos DB itself refuses a second writer: no ETag, no head document, no read
        before the write. The create comes first in the batch: a lost race changes nothing.
        """
        container = await self._database.sessions()

        async def call() -> bool:
            try:
                if upserted:
                    operations = [("create", (created,)), *(("upsert", (item,)) for item in upserted)]
                    await container.execute_item_batch(operations, created["session_id"], no_response=True)
                else:
                    await container.create_item(created, no_response=True)
            except CosmosResourceExistsError:
                return False
            except CosmosBatchOperationError as error:
                if (error.error_index, error.status_code) != (0, HTTPStatus.CONFLICT):
                    raise
                return False
            return True

        return await with_retries(call)

    async def _require_same(self, created: Item) -> None:
        """Check that this write stored the chunk, and only its reply was lost. Otherwise raise SequenceTakenError."""
        stored = await self._item(created["session_id"], created["id"])
        # None: it was cleared since, so the session was deleted.
        if stored is None or (stored["writer"], stored["events"]) != (created["writer"], created["events"]):
            raise SequenceTakenError(created["session_id"], created["first"])

    async def _fold_later(self, checkpoint: SessionState, next_item: Item) -> SessionState | None:
        """`checkpoint` with the later chunks, of which `next_item` is the first.

        An answer that is being written may be hundreds of chunks. Those of only deltas are not read, except the newest.
        """
        session_id, head = checkpoint.session_id, checkpoint.head
        newest = await self._query(queries.chunks(session_id, head, newest=True), 1)
        if not newest:
            return await self.checkpoint(session_id)  # it is being cleared, and the checkpoint now says so
        if newest[0]["first"] == next_item["first"]:
            return fold(checkpoint, (chunk_of(next_item),))
        return await self._without_deltas(checkpoint, newest[0]["last"])

    async def _without_deltas(self, checkpoint: SessionState, last: int) -> SessionState:
        query = queries.chunks(checkpoint.session_id, checkpoint.head, skip_deltas=True)
        return fold_without_deltas(checkpoint, map(chunk_of, await self._query(query)), last)

    async def _item(self, session_id: SessionId, item_id: str) -> Item | None:
        return await read_item(await self._database.sessions(), item_id, session_id)

    async def _query(self, query: queries.Query, limit: int | None = None) -> list[Item]:
        return await query_items(await self._database.sessions(), query, limit)

    async def _readable(self, query: queries.Query, kind: type[M], limit: int, max_bytes: int | None) -> Page[M]:
        return await query_readable(await self._database.sessions(), query, kind, limit, max_bytes)

    async def _page(
        self, query: queries.Query, limit: int, max_bytes: int | None, size_of: Callable[[Item], int]
    ) -> Page[Item]:
        return await query_page(await self._database.sessions(), query, limit, max_bytes, size_of)

    async def _upsert(self, item: Item) -> None:
        await upsert_item(await self._database.sessions(), item)

    async def _delete(self, session_id: SessionId, ids: Sequence[str]) -> None:
        container = await self._database.sessions()

        async def call() -> None:
            try:
                await container.execute_item_batch([("delete", (each,)) for each in ids], session_id)
            except CosmosBatchOperationError as error:
                # Expired, or cleared by another sweep: nothing was deleted, and the caller queries what is left.
                if error.status_code != HTTPStatus.NOT_FOUND:
                    raise

        await with_retries(call)

    async def _poll(self, session_id: SessionId, after: int) -> tuple[Sequence[Chunk], int]:
        try:
            container = await self._database.sessions("Eventual")
            chunk = chunk_of(await container.read_item(chunk_id(after + 1), session_id))
        except CosmosResourceNotFoundError:
            return (), after
        except (AzureError, StoreUnavailableError) as error:
            _log.debug("Session %s could not be polled: %s", session_id, error)
            return (), after  # readers soon read the store themselves, and get the error there
        return (chunk,), chunk.last
