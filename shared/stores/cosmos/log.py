"""The session log in Cosmos DB; see `shared.ports.SessionLog` for what each method promises."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from azure.core.exceptions import AzureError
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosResourceExistsError, CosmosResourceNotFoundError

from shared.domain.chunks import Chunk
from shared.domain.documents import AnyDocument, IdempotencyRecord, ModelResponse
from shared.domain.errors import SequenceTakenError, StoreUnavailableError
from shared.domain.fold import fold, fold_without_deltas
from shared.domain.ids import SessionId, WriterId
from shared.domain.listing import SessionFilter
from shared.domain.session import SessionState
from shared.domain.values import size_of
from shared.ports import D, Tail
from shared.stores.cosmos import claims, queries
from shared.stores.cosmos.calls import is_taken, with_retries
from shared.stores.cosmos.database import Database
from shared.stores.cosmos.items import (
    STATE_ID,
    chunk_id,
    chunk_item,
    chunk_of,
    document_item,
    item_id,
    state_item,
    state_of,
)
from shared.stores.cosmos.poller import PolledTails

_LOGGER = logging.getLogger(__name__)
_BATCHED_DOCUMENT_BYTES = 256 * 1024
_DELETED_AT_ONCE = 100

Item = dict[str, Any]


class CosmosSessionLog:
    """Chunks, state and documents of a session in one partition. Closing it closes its database, for all on that."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tails = PolledTails(self._look)

    async def append(
        self, chunk: Chunk, checkpoint: SessionState | None = None, documents: Sequence[AnyDocument] = ()
    ) -> None:
        created = chunk_item(chunk)
        upserted = [] if checkpoint is None else [state_item(checkpoint)]
        for document in documents:
            item = document_item(chunk.session_id, document)
            if isinstance(document, ModelResponse) and size_of(item["body"]) > _BATCHED_DOCUMENT_BYTES:
                await self._put_ahead(created, item)
            else:
                upserted.append(item)
        # A lost reply needs no case of its own: the same create again finds its own chunk there.
        await with_retries(lambda: self._write(created, upserted))
        self._tails.appended(chunk)

    async def state(self, session_id: SessionId) -> SessionState | None:
        checkpoint = await self._checkpoint(session_id)
        if checkpoint is None or checkpoint.deleted:
            return checkpoint
        # A point read is cheaper than a query, and mostly there is nothing more to read.
        following = await self._item(session_id, chunk_id(checkpoint.head + 1))
        return checkpoint if following is None else await self._folded(checkpoint, following)

    async def outline(self, session_id: SessionId) -> SessionState | None:
        checkpoint = await self._checkpoint(session_id)
        if checkpoint is None or checkpoint.deleted:
            return checkpoint
        return await self._without_deltas(checkpoint, checkpoint.head)

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
        query = queries.chunks(session_id, after, before, newest=newest, skip_deltas=skip_deltas)
        items = await self._query(query, limit)
        return [chunk_of(item) for item in (reversed(items) if newest else items)]

    async def newest_of_type(self, session_id: SessionId, event_type: str, limit: int) -> Sequence[Chunk]:
        items = await self._query(queries.chunks_with(session_id, event_type), limit)
        return [chunk_of(item) for item in reversed(items)]

    def watch(self, session_id: SessionId, *, eager: bool = True) -> AbstractContextManager[Tail]:
        return self._tails.watch(session_id, eager=eager)

    async def get(self, kind: type[D], session_id: SessionId, document_id: str) -> D | None:
        item = await self._item(session_id, item_id(kind, document_id))
        return None if item is None else kind.model_validate_json(item["body"])

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
        items = await self._query(queries.documents(session_id, kind, after, before, newest=newest), limit)
        return [kind.model_validate_json(item["body"]) for item in (reversed(items) if newest else items)]

    async def put(self, session_id: SessionId, document: AnyDocument) -> None:
        await self._upsert(document_item(session_id, document))

    async def claim(self, record: IdempotencyRecord) -> IdempotencyRecord | None:
        return await claims.claim(await self._database.sessions(), record)

    async def release(self, record: IdempotencyRecord) -> None:
        await claims.release(await self._database.sessions(), record)

    async def silence(self, session_id: SessionId, writer: WriterId) -> timedelta | None:
        container = await self._database.sessions()

        async def call() -> timedelta | None:
            answer = container.query_items(**queries.last_writes(session_id, writer), max_item_count=1)
            async for item in answer:
                # Both by the store's clock, in whole seconds.
                now = parsedate_to_datetime(answer.get_response_headers()["Date"]).timestamp()
                return timedelta(seconds=max(0.0, now - item["_ts"]))
            return None

        return await with_retries(call)

    async def sessions(self, wanted: SessionFilter, *, before: str | None, limit: int) -> Sequence[SessionState]:
        return [state_of(item) for item in await self._query(queries.sessions(wanted, before), limit)]

    async def due_for_repair(self, now: datetime, limit: int) -> Sequence[SessionState]:
        return [state_of(item) for item in await self._query(queries.due_for_repair(now), limit)]

    async def clear(self, session_id: SessionId) -> None:
        while items := await self._query(queries.all_except(session_id, STATE_ID), _DELETED_AT_ONCE):
            await self._delete(session_id, [str(item["id"]) for item in items])
        mark = await self._item(session_id, STATE_ID)
        if mark is not None and mark["deleted"]:
            await self._upsert({name: value for name, value in mark.items() if name != "repair_due"})

    async def check(self) -> None:
        await self._database.check()

    async def close(self) -> None:
        await self._database.close()

    async def _write(self, created: Item, upserted: Sequence[Item]) -> None:
        """Create the chunk, and upsert the rest with it.

        The id is the first sequence, so Cosmos DB itself refuses a second writer: no ETag, no head document, no read
        before the write. The create comes first: a lost race changes nothing.
        """
        container = await self._database.sessions()
        try:
            if upserted:
                operations = [("create", (created,)), *(("upsert", (item,)) for item in upserted)]
                await container.execute_item_batch(operations, created["session_id"], no_response=True)
            else:
                await container.create_item(created, no_response=True)
        except (CosmosResourceExistsError, CosmosBatchOperationError) as error:
            if not is_taken(error):
                raise
            await self._settle(created)

    async def _settle(self, created: Item) -> None:
        """Return if the chunk that stands in the place of `created` is this very write."""
        container = await self._database.sessions()
        taken = SequenceTakenError(created["session_id"], created["first"])
        try:
            there: Mapping[str, Any] = await container.read_item(created["id"], created["session_id"])
        except CosmosResourceNotFoundError as error:  # cleared since, so the session was deleted
            raise taken from error
        if (there["writer"], there["events"]) != (created["writer"], created["events"]):
            raise taken

    async def _put_ahead(self, created: Item, item: Item) -> None:
        """Write what is too large for the batch before it, unless the batch has already lost its race."""
        if await self._item(created["session_id"], created["id"]) is None:
            await self._upsert(item)

    async def _folded(self, checkpoint: SessionState, following: Item) -> SessionState | None:
        """`checkpoint` with what is in the log since: `following`, and more perhaps.

        An answer that is being written may be hundreds of chunks. Of those that hold but deltas only the last is read.
        """
        session_id, head = checkpoint.session_id, checkpoint.head
        newest = await self._query(queries.chunks(session_id, head, newest=True), 1)
        if not newest:
            return await self._checkpoint(session_id)  # it is being cleared, and now says so
        if newest[0]["first"] == following["first"]:
            return fold(checkpoint, (chunk_of(following),))
        return await self._without_deltas(checkpoint, newest[0]["last"])

    async def _without_deltas(self, checkpoint: SessionState, last: int) -> SessionState:
        query = queries.chunks(checkpoint.session_id, checkpoint.head, skip_deltas=True)
        return fold_without_deltas(checkpoint, map(chunk_of, await self._query(query)), last)

    async def _checkpoint(self, session_id: SessionId) -> SessionState | None:
        item = await self._item(session_id, STATE_ID)
        return None if item is None else state_of(item)

    async def _item(self, session_id: SessionId, item_id: str) -> Item | None:
        container = await self._database.sessions()

        async def call() -> Item | None:
            try:
                return await container.read_item(item_id, session_id)
            except CosmosResourceNotFoundError:
                return None

        return await with_retries(call)

    async def _query(self, query: queries.Query, limit: int | None = None) -> list[Item]:
        container = await self._database.sessions()

        async def call() -> list[Item]:
            found: list[Item] = []
            async for item in container.query_items(**query, max_item_count=limit):
                found.append(item)
                if len(found) == limit:
                    break
            return found

        return await with_retries(call)

    async def _upsert(self, item: Item) -> None:
        container = await self._database.sessions()
        await with_retries(lambda: container.upsert_item(item, no_response=True))

    async def _delete(self, session_id: SessionId, ids: Sequence[str]) -> None:
        container = await self._database.sessions()

        async def call() -> None:
            try:
                await container.execute_item_batch([("delete", (there,)) for there in ids], session_id)
            except CosmosBatchOperationError as error:
                # Expired, or cleared by another sweep: nothing was deleted, and the caller asks what is left.
                if error.status_code != HTTPStatus.NOT_FOUND:
                    raise

        await with_retries(call)

    async def _look(self, session_id: SessionId, first: int) -> Chunk | None:
        try:
            container = await self._database.sessions("Eventual")
            return chunk_of(await container.read_item(chunk_id(first), session_id))
        except CosmosResourceNotFoundError:
            return None
        except (AzureError, StoreUnavailableError) as error:
            _LOGGER.debug("Session %s couldn't be looked at: %s", session_id, error)
            return None  # readers read strongly in a while, and are told then
