"""Calls to Cosmos DB: made again while that can help, and its errors in this service's words."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeVar

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline import PipelineResponse
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosResourceExistsError

from shared.domain.errors import StoreUnavailableError
from shared.stores.charges import add

T = TypeVar("T")

_LOGGER = logging.getLogger(__name__)
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_GONE, _RETRY_WITH = 410, 449
_PASSING = {
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


async def with_retries(call: Callable[[], Awaitable[T]]) -> T:
    """What `call` gives, which is made up to seven times within about three seconds.

    A reply may be lost after its write was done, so `call` must be safe to repeat, and must itself handle the answers
    that are part of its question (taken, missing).

    Raises:
        StoreUnavailableError: the account can't be reached, goes on refusing, or isn't set up.
    """
    pauses = iter(_PAUSES)
    while True:
        try:
            return await call()
        except AzureError as error:
            pause = next(pauses, None)
            if pause is None or not _is_passing(error):
                raise _in_our_words(error) from error
            _LOGGER.debug("Cosmos DB is called again in %s s: %s", pause, error)
        await asyncio.sleep(pause)


def is_taken(error: CosmosResourceExistsError | CosmosBatchOperationError) -> bool:
    """Whether what was to be created is there already; in a batch the create comes first."""
    taken = (0, HTTPStatus.CONFLICT)
    return isinstance(error, CosmosResourceExistsError) or (error.error_index, error.status_code) == taken


def log_charge(response: PipelineResponse[Any, Any]) -> None:
    """Note what a request cost; given to the clients as their hook on every response."""
    request, answer = response.http_request, response.http_response
    charge = answer.headers.get("x-ms-request-charge")
    add(float(charge or 0))
    _LOGGER.debug(
        "Cosmos DB %s %s: %s, %s RU",
        request.method,
        request.url,
        answer.status_code,
        charge,
        extra={"exchange": response},
    )


def _is_passing(error: AzureError) -> bool:
    status = _status(error)
    return status is None or status in _PASSING  # none: unreachable, timed out or cut off


def _status(error: AzureError) -> int | None:
    if isinstance(error, ClientAuthenticationError):  # without a status if there was no identity to show
        return HTTPStatus.UNAUTHORIZED
    return error.status_code if isinstance(error, HttpResponseError) else None


def _in_our_words(error: AzureError) -> Exception:
    status = _status(error)
    if status in _REMEDIES:
        return StoreUnavailableError(f"Cosmos DB answers {status:d}: {_REMEDIES[HTTPStatus(status)]}.")
    if _is_passing(error):
        return StoreUnavailableError(f"Cosmos DB doesn't answer ({status or type(error).__name__}): try again.")
    return error
