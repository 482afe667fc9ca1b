"""Idempotency records that belong to no session: each is claimed in its own partition."""

from contextlib import suppress

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosAccessConditionFailedError, CosmosResourceNotFoundError

from turnlog.domain.stored_documents import IdempotencyRecord, claim_partition
from turnlog.domain.tolerance import load
from turnlog.stores.cosmos.items import document_item
from turnlog.stores.cosmos.requests import create_item, read_item, with_retries


async def claim(container: ContainerProxy, record: IdempotencyRecord) -> IdempotencyRecord | None:
    """Create `record`, or return the stored one with its id.

    After a lost reply, that is `record` itself. The caller then acts like a retry that finds it, which is correct.
    """
    item = document_item(claim_partition(record), record)
    while not await create_item(container, item):
        stored = await read_item(container, item["id"], item["session_id"])
        if stored is not None:  # otherwise it has just expired or been released
            return load(IdempotencyRecord, stored["body"])
    return None


async def release(container: ContainerProxy, record: IdempotencyRecord) -> None:
    item = document_item(claim_partition(record), record)
    stored = await read_item(container, item["id"], item["session_id"])
    if stored is None or stored["body"] != item["body"]:
        return

    async def call() -> None:
        with suppress(CosmosAccessConditionFailedError, CosmosResourceNotFoundError):  # another claim, or none
            await container.delete_item(
                item["id"], item["session_id"], etag=stored["_etag"], match_condition=MatchConditions.IfNotModified
            )

    await with_retries(call)
