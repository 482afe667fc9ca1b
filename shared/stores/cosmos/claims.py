"""Idempotency records that belong to no session, each in a partition of its own."""

from typing import Any

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from shared.domain.documents import IdempotencyRecord, claim_place
from shared.stores.cosmos.calls import with_retries
from shared.stores.cosmos.items import document_item


async def claim(container: ContainerProxy, record: IdempotencyRecord) -> IdempotencyRecord | None:
    """Create `record`, or give the one that is there.

    After a lost reply that is our own: a retry's view of it, with which the caller does the same.
    """
    item = document_item(claim_place(record), record)

    async def call() -> IdempotencyRecord | None:
        while True:
            try:
                await container.create_item(item, no_response=True)
            except CosmosResourceExistsError:
                there = await _there(container, item)
                if there is None:  # it has just expired, or was taken back
                    continue
                return IdempotencyRecord.model_validate_json(there["body"])
            return None

    return await with_retries(call)


async def release(container: ContainerProxy, record: IdempotencyRecord) -> None:
    item = document_item(claim_place(record), record)

    async def call() -> None:
        there = await _there(container, item)
        if there is None or there["body"] != item["body"]:
            return
        try:
            await container.delete_item(
                item["id"], item["session_id"], etag=there["_etag"], match_condition=MatchConditions.IfNotModified
            )
        except (CosmosAccessConditionFailedError, CosmosResourceNotFoundError):
            return

    await with_retries(call)


async def _there(container: ContainerProxy, item: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return await container.read_item(item["id"], item["session_id"])
    except CosmosResourceNotFoundError:
        return None
