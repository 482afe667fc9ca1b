"""Request units by Microsoft's published table and formulas.

Source: "Understand request units consumption in Azure Cosmos DB", as of 21 April 2026
(learn.microsoft.com/azure/cosmos-db/understand-request-unit-consumption). The page calls its figures illustrative: the
account reports the real cost of a request in `x-ms-request-charge`.
"""

import json
from bisect import bisect_left
from collections.abc import Generator, Iterable
from typing import Any, cast

from bench.cost.requests import Item, Request
from turnlog.stores.cosmos.containers import PROVISIONED

# KB: (read at session consistency or weaker, write without any indexed term). Other sizes are interpolated.
_BY_SIZE = {
    1: (1.00, 4.95), 2: (1.04, 6.29), 4: (1.14, 6.67), 8: (1.33, 7.04), 16: (1.67, 9.52), 32: (2.19, 11.23),
    64: (4.76, 22.67), 128: (9.95, 48.19), 256: (20.28, 98.29), 512: (40.95, 184.57), 1024: (145.90, 625.00),
    2048: (291.80, 1250.00),
}  # fmt: skip
_SIZES = list(_BY_SIZE)
_TERM = 0.2  # each indexed term that is added or removed
_QUERY = 3.0  # the minimum of a query of one partition, with one small document: 2.5 to 3 in practice
_STRONG = 2  # times the cost of the same read at session consistency or weaker
STRONG_QUERY = _QUERY * _STRONG
"""Request units of a query of one partition with a small answer, at Strong."""
_POLICIES = {container.name: container.indexing_policy for container in PROVISIONED}


class Meter:
    """Charges requests, in the order of their answers: the cost of an upsert depends on the item that it replaces."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str, str], Item] = {}

    def charge(self, request: Request) -> float:
        """Return the request units of `request`; those of a batch are the sum of its operations."""
        match request.kind:
            case "read":
                return _read_charge(request.size) * _consistency(request)
            case "query":
                return max(_QUERY, _QUERY - 1 + _read_charge(request.size)) * _consistency(request)
            case "write":
                return sum(self._write(request, item) for item in request.items)

    def _write(self, request: Request, item: Item) -> float:
        """A create is an insertion; an upsert of an existing item is a deletion and an insertion."""
        key = (request.container, request.session_id, item["id"])
        before = self._items.get(key)
        new, old = set(terms(request.container, item)), set[str]()
        charge = write_charge(size_of(item))
        if before is not None:
            old = set(terms(request.container, before))
            charge += write_charge(size_of(before))
        if request.status < 300:  # a refused write is charged as if it succeeded, and stores nothing
            self._items[key] = item
        return charge + _TERM * len(new ^ old)


def by_size(request: Request) -> float:
    """Return the request units by the table of sizes alone: an upsert as one write, and no index."""
    if request.kind == "write":
        return sum(write_charge(size_of(item)) for item in request.items)
    return Meter().charge(request)


def create_charge(container: str, item: Item) -> float:
    """Return the request units of creating `item`."""
    return write_charge(size_of(item)) + _TERM * len(set(terms(container, item)))


def replace_charge(size: int, changed: int) -> float:
    """Return the request units of replacing an item of `size` bytes, of whose indexed values `changed` change."""
    return 2 * write_charge(size) + _TERM * 2 * changed


def strong_read_charge(size: int) -> float:
    """Return the request units of reading `size` bytes at Strong."""
    return _read_charge(size) * _STRONG


def size_of(item: Item) -> int:
    """Return the bytes of an item as it is sent."""
    return len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode())


def terms(container: str, item: Item) -> Generator[str]:
    """Yield the terms that an item adds to its container's index: one for each value, and for each composite.

    `id` and `_ts` are not counted: no policy names them, and the source does not mention them.
    """
    policy = _POLICIES[container]
    for path in (each["path"] for each in policy["includedPaths"]):
        for value in _values(path, item):
            yield f"{path} {json.dumps(value)}"
    for composite in policy.get("compositeIndexes", ()):
        names = [each["path"].removeprefix("/") for each in composite]
        if all(name in item for name in names):
            yield f"{names} {json.dumps([item[name] for name in names])}"


def write_charge(size: int) -> float:
    """Return the request units of writing `size` bytes, without any indexed term."""
    return _interpolate(size, 1)


def _read_charge(size: int) -> float:
    return _interpolate(size, 0)


def _consistency(request: Request) -> int:
    return _STRONG if request.strong else 1


def _values(path: str, item: Item) -> Iterable[Any]:
    name, _, rest = path.removeprefix("/").partition("/")
    if name not in item:
        return ()
    return cast("list[Any]", item[name]) if rest.startswith("[]") else (item[name],)


def _interpolate(size: int, column: int) -> float:
    kilobytes = size / 1024
    if kilobytes <= _SIZES[0]:
        return _BY_SIZE[_SIZES[0]][column]
    above = min(bisect_left(_SIZES, kilobytes), len(_SIZES) - 1)
    low, high = _SIZES[above - 1], _SIZES[above]
    share = (kilobytes - low) / (high - low)
    return _BY_SIZE[low][column] + share * (_BY_SIZE[high][column] - _BY_SIZE[low][column])
