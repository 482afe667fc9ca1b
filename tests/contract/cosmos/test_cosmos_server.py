"""The Cosmos DB server of the tests behaves like the service wherever the store relies on it."""

import itertools
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from azure.cosmos.aio import ContainerProxy, DatabaseProxy
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from tests.contract.stores import CosmosDatabase, cosmos_database
from turnlog.local.host.feeds import ChangeFeed
from turnlog.stores.cosmos.containers import PROVISIONED, SESSIONS
from turnlog.stores.cosmos.database import open_client

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(endpoint: str) -> AsyncGenerator[DatabaseProxy]:
    async with cosmos_database(endpoint) as store, AsyncExitStack() as resources:
        assert isinstance(store, CosmosDatabase)
        client = await open_client(endpoint, "Strong", resources)
        yield client.get_database_client(store.name)


@pytest.fixture
def sessions(database: DatabaseProxy) -> ContainerProxy:
    return database.get_container_client(SESSIONS)


async def test_every_container_has_its_settings_of_azure(database: DatabaseProxy) -> None:
    for container in PROVISIONED:
        found = await database.get_container_client(container.name).read()

        assert found["partitionKey"]["paths"] == [container.partition_key]
        assert found["partitionKey"]["version"] == 2
        assert found["defaultTtl"] == container.default_ttl
        assert found["indexingPolicy"]["includedPaths"] == container.indexing_policy["includedPaths"]


def _item(name: str, **values: Any) -> dict[str, Any]:
    return {"id": name, "session_id": "one", **values}


async def _in(sessions: ContainerProxy) -> dict[str, int]:
    found = sessions.query_items("SELECT * FROM c WHERE c.session_id = 'one'", partition_key="one")
    return {item["id"]: item["value"] async for item in found}


async def _pages(sessions: ContainerProxy, size: int) -> list[list[tuple[str, int]]]:
    """The change feed page by page: the id of each document, and the number of its change."""
    feed, pages = ChangeFeed(sessions, size), list[list[tuple[str, int]]]()
    while batch := await feed.batch():
        pages.append([(document["id"], document["_lsn"]) for document in batch])
    return pages


@pytest.mark.parametrize(
    ("failing", "status"),
    [
        (("create", (_item("there"),)), 409),
        (("delete", ("missing",)), 404),
        (("replace", ("missing", _item("missing"))), 404),
        (("replace", ("there", _item("there")), {"if_match_etag": "another"}), 412),
        (("upsert", ({"session_id": "one"},)), 400),
    ],
    ids=["create", "delete", "replace", "replace another version", "upsert without an id"],
)
async def test_a_batch_that_fails_changes_nothing_and_names_the_operation(
    sessions: ContainerProxy, failing: Any, status: int
) -> None:
    for name in ("there", "deleted"):
        await sessions.create_item(_item(name, value=1))
    before = await _pages(sessions, 100)

    changing = [
        ("create", (_item("new", value=2),)),
        ("upsert", (_item("there", value=2),)),
        ("delete", ("deleted",)),
    ]
    with pytest.raises(CosmosBatchOperationError) as failed:
        await sessions.execute_item_batch([*changing, failing, ("create", (_item("more", value=2),))], "one")

    assert (failed.value.error_index, failed.value.status_code) == (3, status)
    answers = cast("list[dict[str, Any]]", failed.value.operation_responses)
    assert [answer["statusCode"] for answer in answers] == [424, 424, 424, status, 424]
    assert await _in(sessions) == {"there": 1, "deleted": 1}
    assert await _pages(sessions, 100) == before
    await sessions.execute_item_batch(changing, "one")
    assert await _in(sessions) == {"there": 2, "new": 2}


async def test_the_documents_of_a_batch_have_one_number_and_share_a_page_of_the_feed(
    sessions: ContainerProxy,
) -> None:
    await sessions.create_item(_item("first"))
    await sessions.execute_item_batch([("create", (_item(name),)) for name in "abc"], "one")
    await sessions.create_item(_item("last"))

    for size in (1, 2, 3):
        pages = await _pages(sessions, size)
        named = [sorted(name for name, _ in page) for page in pages]
        positions = [position for page in pages for position in sorted({position for _, position in page})]

        assert sorted(itertools.chain(*named)) == ["a", "b", "c", "first", "last"]
        assert len(positions) == 3
        assert positions == sorted(set(positions))
        assert any({"a", "b", "c"} <= set(names) for names in named)


async def test_a_batch_of_more_than_100_operations_is_refused(sessions: ContainerProxy) -> None:
    items = [("create", (_item(str(number), value=1),)) for number in range(101)]

    with pytest.raises(CosmosHttpResponseError) as refused:
        await sessions.execute_item_batch(items, "one")

    assert refused.value.status_code == 400
    assert await _in(sessions) == {}
    await sessions.execute_item_batch(items[:100], "one")
    assert len(await _in(sessions)) == 100


async def test_a_batch_of_more_than_two_megabytes_is_refused(sessions: ContainerProxy) -> None:
    items = [("create", (_item(str(number), value=1, text="x" * 500_000),)) for number in range(5)]

    with pytest.raises(CosmosHttpResponseError) as refused:
        await sessions.execute_item_batch(items, "one")

    assert refused.value.status_code == 413
    assert await _in(sessions) == {}


async def test_an_item_of_more_than_two_megabytes_is_refused(sessions: ContainerProxy) -> None:
    with pytest.raises(CosmosHttpResponseError) as refused:
        await sessions.create_item(_item("large", value=1, text="x" * 2 * 1024**2))

    assert refused.value.status_code == 413
    assert await _in(sessions) == {}
