"""The fake of Cosmos DB refuses what the service refuses, and answers like the stores' own queries expect."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeVar

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ServiceResponseError
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from tests.simulation.clock import virtual_time
from tests.simulation.cosmos_fake.container import FakeContainer
from tests.simulation.cosmos_fake.items import MAX_BYTES, MAX_OPERATIONS, Items
from tests.simulation.cosmos_fake.queries import Item, UnknownQueryError, parse
from tests.simulation.faults import Network
from tests.simulation.processes import Process

T = TypeVar("T")
PARTITION = "p"


def item(item_id: str, **fields: Any) -> Item:
    return {"id": item_id, "session_id": PARTITION, **fields}


def run(work: Callable[[FakeContainer, FakeContainer], Awaitable[T]], **settings: Any) -> T:
    """Run `work` with a container at Strong and the same one at Eventual. `settings` are those of its items."""
    network = settings.pop("network", None)
    with virtual_time(1) as loop:
        rng = Random(1)
        items = Items("session_id", loop.time, **settings)
        process = Process("test", loop, network, rng)
        strong, weak = (FakeContainer(items, process, rng, is_weak=each) for each in (False, True))

        async def awaited() -> T:
            return await work(strong, weak)

        return loop.run_until_complete(awaited())


def status_of(error: pytest.ExceptionInfo[CosmosHttpResponseError]) -> int | None:
    return error.value.status_code


def test_a_batch_is_written_completely_or_not_at_all() -> None:
    async def work(container: FakeContainer, _: FakeContainer) -> list[Item]:
        await container.create_item(item("taken"))
        with pytest.raises(CosmosBatchOperationError) as error:
            await container.execute_item_batch(
                [("upsert", (item("new"),)), ("upsert", (item("taken", x=1),)), ("create", (item("taken"),))], PARTITION
            )
        assert (error.value.error_index, error.value.status_code) == (2, 409)
        return [each async for each in container.query_items("SELECT c.id, c.x FROM c", parameters=[])]

    assert run(work) == [{"id": "taken"}]


@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ([("upsert", (item(str(number)),)) for number in range(MAX_OPERATIONS + 1)], 400),
        ([("upsert", (item(str(number), text="x" * (MAX_BYTES // 2)),)) for number in range(2)], 413),
    ],
    ids=["operations", "bytes"],
)
def test_a_batch_that_is_too_large_is_refused(operations: list[Any], status: int) -> None:
    async def work(container: FakeContainer, _: FakeContainer) -> int | None:
        with pytest.raises(CosmosHttpResponseError) as error:
            await container.execute_item_batch(operations, PARTITION)
        return status_of(error)

    assert run(work) == status


def test_an_item_or_a_partition_that_is_too_large_is_refused() -> None:
    async def work(container: FakeContainer, _: FakeContainer) -> list[int | None]:
        with pytest.raises(CosmosHttpResponseError) as item_error:
            await container.upsert_item(item("a", text="x" * MAX_BYTES))
        await container.upsert_item(item("a", text="x" * 600))
        with pytest.raises(CosmosHttpResponseError) as partition_error:
            await container.upsert_item(item("b", text="x" * 600))
        assert partition_error.value.sub_status == 1014
        return [status_of(item_error), status_of(partition_error)]

    assert run(work, max_partition_bytes=1000) == [413, 403]


def test_a_condition_holds_only_for_the_version_that_was_read() -> None:
    async def work(container: FakeContainer, _: FakeContainer) -> int | None:
        await container.create_item(item("a"))
        read = await container.read_item("a", PARTITION)
        condition: dict[str, Any] = {"etag": read["_etag"], "match_condition": MatchConditions.IfNotModified}
        await container.replace_item("a", item("a", x=1), **condition)
        with pytest.raises(CosmosHttpResponseError) as error:
            await container.replace_item("a", item("a", x=2), **condition)
        return status_of(error)

    assert run(work) == 412


def test_an_item_expires_after_its_time_to_live() -> None:
    async def work(container: FakeContainer, _: FakeContainer) -> int | None:
        await container.create_item(item("a", ttl=10))
        await asyncio.sleep(9)
        await container.read_item("a", PARTITION)
        await asyncio.sleep(2)
        with pytest.raises(CosmosHttpResponseError) as error:
            await container.read_item("a", PARTITION)
        await container.create_item(item("a"))
        return status_of(error)

    assert run(work) == 404


def test_a_read_at_eventual_may_miss_the_newest_write_and_later_finds_it() -> None:
    async def work(container: FakeContainer, weak: FakeContainer) -> tuple[int | None, Item]:
        await asyncio.sleep(1)
        await container.create_item(item("a"))
        with pytest.raises(CosmosHttpResponseError) as error:
            await weak.read_item("a", PARTITION)
        await container.read_item("a", PARTITION)
        await asyncio.sleep(0.5)
        return status_of(error), await weak.read_item("a", PARTITION)

    status, found = run(work)

    assert (status, found["id"]) == (404, "a")


def test_a_write_whose_reply_is_lost_is_done() -> None:
    network = Network(Random(1), after=1.0)

    async def work(container: FakeContainer, _: FakeContainer) -> int | None:
        with pytest.raises(ServiceResponseError):
            await container.create_item(item("a"))
        network.heal()
        with pytest.raises(CosmosHttpResponseError) as error:
            await container.create_item(item("a"))
        return status_of(error)

    assert run(work, network=network) == 409


def test_a_query_selects_filters_and_orders() -> None:
    async def work(container: FakeContainer, _: FakeContainer) -> list[Item]:
        for number, tags in enumerate((["x"], ["y"], ["x", "y"], [])):
            await container.create_item(item(str(number), number=number, tags=tags))
        await container.create_item(item("other", tags=["x"]))
        text = (
            "SELECT c.id FROM c WHERE c.session_id = @session AND ARRAY_CONTAINS(c.tags, @tag) AND c.number >= 0"
            " ORDER BY c.number DESC"
        )
        parameters = [{"name": "@session", "value": PARTITION}, {"name": "@tag", "value": "x"}]
        answer = container.query_items(text, parameters=parameters, partition_key=PARTITION)
        return [each async for each in answer]

    assert run(work) == [{"id": "2"}, {"id": "0"}]


def test_a_query_that_the_fake_does_not_know_is_refused() -> None:
    with pytest.raises(UnknownQueryError):
        parse("SELECT * FROM c WHERE c.a LIKE '%'")
