"""Requests to Cosmos DB, retried while that can help, with errors in the words of this program."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline import PipelineResponse
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceExistsError, CosmosResourceNotFoundError

from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.pages import Page, PageFiller
from turnlog.domain.tolerance import M, load
from turnlog.stores.charges import add
from turnlog.stores.cosmos.queries import Query
from turnlog.stores.reading import readable

Item: TypeAlias = dict[str, Any]
T = TypeVar("T")

_log = logging.getLogger(__name__)
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_GONE, _RETRY_WITH = 410, 449
_TRANSIENT = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
    _GONE,
    _RETRY_WITH,
}
_REMEDIES = {
    HTTPStatus.UNAUTHORIZED: "give the app's identity the role 'Cosmos DB Built-in Data Contributor' on the account",
    HTTPStatus.FORBIDDEN: "give the app's identity the role 'Cosmos DB Built-in Data Contributor' on the account,"
    " and let the account's firewall admit the app",
    HTTPStatus.NOT_FOUND: "provision the database and its containers (infra/), and check COSMOS_DATABASE",
}


_PARTITION_FULL = 1014  # sub-status


class PartitionFullError(StoreUnavailableError):
    """A logical partition holds 20 GB, and takes no more. Everything else of the account still works."""

    retryable = False


async def with_retries(call: Callable[[], Awaitable[T]]) -> T:
    """The result of `call`, which is called up to seven times within about three seconds.

    A reply may be lost after its write was done. So `call` must be safe to repeat, and must itself handle the statuses
    that it expects (exists, not found).

    Raises:
        StoreUnavailableError: the account can't be reached, keeps refusing, or isn't set up.
    """
    pauses = iter(_PAUSES)
    while True:
        try:
            return await call()
        except AzureError as error:
            pause = next(pauses, None)
            if pause is None or not _is_transient(error):
                raise _translated(error) from error
            _log.debug("Cosmos DB is called again in %s s: %s", pause, error)
        await asyncio.sleep(pause)


async def read_item(container: ContainerProxy, item_id: str, partition: str) -> Item | None:
    async def call() -> Item | None:
        try:
            return await container.read_item(item_id, partition)
        except CosmosResourceNotFoundError:
            return None

    return await with_retries(call)


async def query_items(container: ContainerProxy, query: Query, limit: int | None = None) -> list[Item]:
    async def call() -> list[Item]:
        found: list[Item] = []
        async for item in container.query_items(**query, max_item_count=limit):
            found.append(item)
            if len(found) == limit:
                break
        return found

    return await with_retries(call)


async def query_readable(
    container: ContainerProxy, query: Query, model: type[M], limit: int, max_bytes: int | None
) -> Page[M]:
    """The first bodies that `query` finds, that can be read, and that fit on a page."""
    filler = PageFiller[M](limit, max_bytes)
    async with aclosing(iterate_items(container, query, limit)) as items:
        async for item in items:
            for value in readable([item["body"]], partial(load, model), f"A stored {model.__name__}"):
                if not filler.has_room(size := len(item["body"])):
                    return filler.page()
                filler.add(value, size)
            if len(filler.page()) == limit:  # without asking whether there is another one
                filler.page().has_more = True
                break
    return filler.page()


async def iterate_items(container: ContainerProxy, query: Query, page: int) -> AsyncGenerator[Item]:
    """All results of a query, which are read `page` at a time.

    Raises:
        StoreUnavailableError: as `with_retries`, at any page.
    """
    pages = container.query_items(**query, max_item_count=page).by_page()
    while True:
        try:
            items = [item async for item in await with_retries(lambda: anext(pages))]
        except StopAsyncIteration:
            return
        for item in items:
            yield item


async def query_page(
    container: ContainerProxy, query: Query, limit: int, max_bytes: int | None, size_of: Callable[[Item], int]
) -> Page[Item]:
    """The first items that `query` finds and that fit on a page; the rest is not requested."""

    async def call() -> Page[Item]:
        filler = PageFiller[Item](limit, max_bytes)
        async for item in container.query_items(**query, max_item_count=limit):
            if not filler.has_room(size := size_of(item)):
                break
            filler.add(item, size)
            if len(filler.page()) == limit:  # without asking whether there is another one
                filler.page().has_more = True
                break
        return filler.page()

    return await with_retries(call)


async def create_item(container: ContainerProxy, item: Item) -> bool:
    """False if an item with this id exists: this very one, if the reply to an earlier attempt was lost."""

    async def call() -> bool:
        try:
            await container.create_item(item, no_response=True)
        except CosmosResourceExistsError:
            return False
        return True

    return await with_retries(call)


async def upsert_item(container: ContainerProxy, item: Item) -> None:
    await with_retries(lambda: container.upsert_item(item, no_response=True))


def log_charge(response: PipelineResponse[Any, Any]) -> None:
    """Record what a request cost. The clients call this for every response."""
    request, answer = response.http_request, response.http_response
    charge = answer.headers.get("x-ms-request-charge")
    add(float(charge or 0))
    _log.debug(
        "Cosmos DB %s %s: %s, %s RU",
        request.method,
        request.url,
        answer.status_code,
        charge,
        extra={"exchange": response},
    )


def _is_transient(error: AzureError) -> bool:
    status = _status(error)
    return status is None or status in _TRANSIENT  # without a status: unreachable, timed out or cut off


def _status(error: AzureError) -> int | None:
    if isinstance(error, ClientAuthenticationError):  # it has no status if there was no identity
        return HTTPStatus.UNAUTHORIZED
    return error.status_code if isinstance(error, HttpResponseError) else None


def _translated(error: AzureError) -> Exception:
    status = _status(error)
    if status == HTTPStatus.FORBIDDEN and getattr(error, "sub_status", None) == _PARTITION_FULL:
        return PartitionFullError("A partition of Cosmos DB is full: it holds 20 GB.")
    if status in _REMEDIES:
        return StoreUnavailableError(f"Cosmos DB answers {status:d}: {_REMEDIES[HTTPStatus(status)]}.")
    if _is_transient(error):
        return StoreUnavailableError(f"Cosmos DB doesn't answer ({status or type(error).__name__}): try again.")
    return error
