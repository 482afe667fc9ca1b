"""The Cosmos DB server of the tests: what the store relies on holds there as in the service."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
from azure.cosmos.aio import DatabaseProxy

from shared.stores.cosmos.containers import PROVISIONED
from shared.stores.cosmos.database import open_client
from tests.contract.stores import CosmosStore, cosmos_store

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(endpoint: str) -> AsyncGenerator[DatabaseProxy]:
    async with cosmos_store(endpoint) as store, AsyncExitStack() as resources:
        assert isinstance(store, CosmosStore)
        client = await open_client(endpoint, "Strong", resources)
        yield client.get_database_client(store.database)


async def test_every_container_has_the_settings_that_it_has_in_azure(database: DatabaseProxy) -> None:
    for container in PROVISIONED:
        there = await database.get_container_client(container.name).read()

        assert there["partitionKey"]["paths"] == [container.partition_key]
        assert there["partitionKey"]["version"] == 2
        assert there["defaultTtl"] == container.default_ttl
        assert there["indexingPolicy"]["includedPaths"] == container.indexing_policy["includedPaths"]
