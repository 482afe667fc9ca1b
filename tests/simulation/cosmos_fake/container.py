"""A container as azure-cosmos shows it to one process: each call is a request that can be lost."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from email.utils import format_datetime
from random import Random
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import ServiceRequestError, ServiceResponseError, ServiceResponseTimeoutError
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from tests.simulation.clock import moment
from tests.simulation.cosmos_fake.items import MAX_BYTES, MAX_OPERATIONS, Items, size_of_batch
from tests.simulation.cosmos_fake.queries import Item, parse
from tests.simulation.faults import Kind
from tests.simulation.processes import Process, ReplyLostError, RequestLostError

T = TypeVar("T")

MAX_STALENESS = 0.5
"""How old a read at Eventual may be, in seconds."""
_STATUSES = {Kind.TIMEOUT: 408, Kind.THROTTLED: 429, Kind.UNAVAILABLE: 503, Kind.GONE: 410, Kind.RETRY_WITH: 449}
_BAD_REQUEST, _TOO_LARGE, _FAILED_DEPENDENCY = 400, 413, 424


class FakeContainer:
    """Has the methods of `azure.cosmos.aio.ContainerProxy` that the stores call. It accepts no other option."""

    def __init__(self, items: Items, process: Process, rng: Random, *, is_weak: bool = False) -> None:
        self._items = items
        self._process = process
        self._rng = rng
        self._is_weak = is_weak

    async def read(self) -> Item:
        return await self._request(lambda: {"id": "container"})

    async def read_item(self, item: str, partition_key: str) -> Item:
        staleness = self._rng.uniform(0, MAX_STALENESS) if self._is_weak else 0.0
        return await self._request(lambda: self._items.read(partition_key, item, staleness))

    async def create_item(self, body: Item, *, no_response: bool = False) -> None:
        await self._request(lambda: self._items.create(body))

    async def upsert_item(self, body: Item, *, no_response: bool = False) -> None:
        await self._request(lambda: self._items.upsert(body))

    async def replace_item(
        self, item: str, body: Item, *, etag: str, match_condition: MatchConditions, no_response: bool = False
    ) -> None:
        assert match_condition is MatchConditions.IfNotModified
        await self._request(lambda: self._items.replace(body, etag))

    async def delete_item(
        self, item: str, partition_key: str, *, etag: str | None = None, match_condition: MatchConditions | None = None
    ) -> None:
        await self._request(lambda: self._items.delete(partition_key, item, etag))

    async def execute_item_batch(
        self, batch_operations: Sequence[tuple[str, tuple[Any, ...]]], partition_key: str, *, no_response: bool = False
    ) -> None:
        await self._request(lambda: self._batch(batch_operations, partition_key))

    def query_items(
        self,
        query: str,
        *,
        parameters: list[dict[str, Any]],
        partition_key: str | None = None,
        max_item_count: int | None = None,
    ) -> "_Answer":
        values = {each["name"]: each["value"] for each in parameters}
        return _Answer(self._process.loop.time, lambda: self._query(query, values, partition_key), max_item_count)

    async def _query(self, text: str, values: dict[str, Any], partition: str | None) -> list[Item]:
        return await self._request(lambda: parse(text).run(self._items.scan(partition), values))

    def _batch(self, operations: Sequence[tuple[str, tuple[Any, ...]]], partition: str) -> None:
        """Carry out all operations or none."""
        if len(operations) > MAX_OPERATIONS:
            raise CosmosHttpResponseError(status_code=_BAD_REQUEST, message="The batch has more than 100 operations")
        arguments = [operation[1][0] for operation in operations]
        if size_of_batch(arguments) > MAX_BYTES:
            raise CosmosHttpResponseError(status_code=_TOO_LARGE, message="Request size is too large")
        restore = self._items.snapshot(partition, [each if isinstance(each, str) else each["id"] for each in arguments])
        for index, (name, (argument, *_)) in enumerate(operations):
            try:
                self._apply(name, argument, partition)
            except CosmosHttpResponseError as error:
                restore()
                raise CosmosBatchOperationError(
                    error_index=index,
                    headers={},
                    status_code=error.status_code,
                    message=error.http_error_message,
                    operation_responses=[{"statusCode": _FAILED_DEPENDENCY}] * index,
                ) from error

    def _apply(self, name: str, argument: Any, partition: str) -> None:
        if name == "delete":
            self._items.delete(partition, argument, None)
            return
        assert self._items.partition_of(argument) == partition, "a batch is of one partition"
        if name == "create":
            self._items.create(argument)
        else:
            assert name == "upsert", name
            self._items.upsert(argument)

    async def _request(self, apply: Callable[[], T]) -> T:
        try:
            return await self._process.request(apply)
        except ReplyLostError as error:
            raise ServiceResponseError("Connection reset by peer") from error
        except RequestLostError as error:
            status = _STATUSES.get(error.fault.kind)
            if error.fault.kind is Kind.TIMEOUT and error.fault.seconds > 1:
                raise ServiceResponseTimeoutError("Read timed out") from error
            if status is None:
                raise ServiceRequestError("Cannot connect to host") from error
            raise CosmosHttpResponseError(status_code=status, message=error.fault.name) from error


class _Pages:
    """The pages of what a query found, each with a request of its own. A page that failed may be requested again."""

    def __init__(self, run: Callable[[], Any], size: int) -> None:
        self._run = run
        self._size = size
        self._read = 0
        self._is_over = False

    def __aiter__(self) -> "_Pages":
        return self

    async def __anext__(self) -> AsyncIterator[Item]:
        if self._is_over:
            raise StopAsyncIteration
        items = (await self._run())[self._read : self._read + self._size]
        self._read += len(items)
        self._is_over = len(items) < self._size
        return _each(items)


async def _each(items: list[Item]) -> AsyncIterator[Item]:
    for item in items:
        yield item


class _Answer:
    """The items that a query found."""

    def __init__(self, now: Callable[[], float], run: Callable[[], Any], page_size: int | None) -> None:
        self._now = now
        self._run = run
        self._page_size = page_size or 100

    async def __aiter__(self) -> AsyncIterator[Item]:
        for item in await self._run():
            yield item

    def by_page(self) -> "_Pages":
        return _Pages(self._run, self._page_size)

    def get_response_headers(self) -> Mapping[str, str]:
        return {"Date": format_datetime(moment(self._now()), usegmt=True)}
