"""The requests for documents that the SDK sent, each with its answer and the lines of code that sent it."""

import inspect
import json
import logging
from asyncio import events
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any, Literal, TypeAlias

from azure.core.pipeline import PipelineResponse

ROOT = Path(__file__).parents[2]
_EXCHANGES = "turnlog.stores.cosmos.requests"  # the logger of every exchange
_CALLERS = ("turnlog/orchestrations/", "turnlog/services/", "turnlog/api/", "bench/")
_STORE = "turnlog/stores/"
_BATCH = "x-ms-cosmos-is-batch-request"

Item: TypeAlias = dict[str, Any]
Kind: TypeAlias = Literal["read", "query", "write"]


@dataclass(frozen=True)
class Request:
    """One exchange with Cosmos DB, as it was on the wire.

    `strong`: it has the account's default consistency, not a weaker one. `written` are the items of its writes, in
    order. `size` is that of the answer's body, in bytes. `asked_by` are the lines of code on the stack, from the one
    that called the store outwards.
    """

    kind: Kind
    container: str
    session_id: str
    status: int
    strong: bool
    size: int
    items: tuple[Item, ...]
    callers: tuple[str, ...]

    @property
    def is_flush(self) -> bool:
        """Whether it writes a piece of an answer, and nothing else."""
        if len(self.items) != 1:
            return False
        return self.items[0].get("kind") == "chunk" and "last_non_delta" not in self.items[0]


@contextmanager
def record() -> Generator[list[Request]]:
    """Record the requests for documents that this process sends while the body runs, every attempt of each."""
    requests: list[Request] = []
    exchanges, handler = logging.getLogger(_EXCHANGES), _Recorder(requests)
    level, propagates = exchanges.level, exchanges.propagate
    exchanges.setLevel(logging.DEBUG)
    exchanges.propagate = False
    exchanges.addHandler(handler)
    try:
        yield requests
    finally:
        exchanges.removeHandler(handler)
        exchanges.propagate = propagates
        exchanges.setLevel(level)


class _Recorder(logging.Handler):
    """Gets every exchange from the SDK's own pipeline, where the store logs its cost."""

    def __init__(self, requests: list[Request]) -> None:
        super().__init__()
        self._requests = requests

    def emit(self, record: logging.LogRecord) -> None:
        exchange: PipelineResponse[Any, Any] | None = getattr(record, "exchange", None)
        if exchange is not None and "/docs" in exchange.http_request.url:
            self._requests.append(_request(exchange))


def _request(exchange: PipelineResponse[Any, Any]) -> Request:
    sent, answer = exchange.http_request, exchange.http_response
    body = sent.body.decode() if isinstance(sent.body, bytes) else sent.body
    return Request(
        kind=_kind(sent.method, sent.headers),
        container=sent.url.partition("/colls/")[2].partition("/")[0],
        session_id=json.loads(sent.headers.get("x-ms-documentdb-partitionkey", '[""]'))[0],
        status=_status(sent.headers, answer),
        strong=sent.headers.get("x-ms-consistency-level") != "Eventual",
        size=len(answer.body()),
        items=_items(sent.headers, body) if _kind(sent.method, sent.headers) == "write" else (),
        callers=tuple(_callers(inspect.currentframe())),
    )


def _kind(method: str, headers: Any) -> Kind:
    if method == "GET":
        return "read"
    return "query" if headers.get("x-ms-documentdb-isquery", "").lower() == "true" else "write"


def _status(headers: Any, answer: Any) -> int:
    """Return the status of the answer; of a failed batch (207), the status of the operation that failed."""
    if not headers.get(_BATCH) or answer.status_code >= 300:
        return answer.status_code
    statuses = [int(operation["statusCode"]) for operation in json.loads(answer.body())]
    refused = (status for status in statuses if status >= 400 and status != HTTPStatus.FAILED_DEPENDENCY)
    return next(refused, answer.status_code)


def _items(headers: Any, body: str) -> tuple[Item, ...]:
    content = json.loads(body)
    if headers.get(_BATCH):
        return tuple(operation["resourceBody"] for operation in content if "resourceBody" in operation)
    return (content,)


def _callers(frame: FrameType | None) -> Generator[str]:
    """Yield the lines above the store on the stack of the current task."""
    below = True
    while frame is not None and frame.f_code.co_filename != events.__file__:  # the event loop, below every task
        name = frame.f_code.co_filename
        path = name.removeprefix(f"{ROOT}/")
        if path.startswith(_STORE):
            below = False
        elif not below and path.startswith(_CALLERS):
            yield f"{path}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
