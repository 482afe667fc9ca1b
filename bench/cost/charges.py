"""Request units by Microsoft's published table and formulas.

Source: "Understand request units consumption in Azure Cosmos DB", as of 21 April 2026
(learn.microsoft.com/azure/cosmos-db/understand-request-unit-consumption). The page calls its figures illustrative: what
a request costs is what the account says in `x-ms-request-charge`.
"""

import json
from bisect import bisect_left
from collections.abc import Generator, Iterable
from typing import Any, cast

from bench.cost.requests import Item, Request
from shared.stores.cosmos.containers import PROVISIONED

# KB: read at session consistency or weaker, write without any indexed term. Between them it is interpolated.
_BY_SIZE = {
    1: (1.00, 4.95), 2: (1.04, 6.29), 4: (1.14, 6.67), 8: (1.33, 7.04), 16: (1.67, 9.52), 32: (2.19, 11.23),
    64: (4.76, 22.67), 128: (9.95, 48.19), 256: (20.28, 98.29), 512: (40.95, 184.57), 1024: (145.90, 625.00),
    2048: (291.80, 1250.00),
}  # fmt: skip
_SIZES = list(_BY_SIZE)
_TERM = 0.2  # each indexed term that is added or removed
_QUERY = 3.0  # the least that a query of one partition takes, with one small document: 2.5 to 3 in practice
_STRONG = 2  # times what the same read costs at session consistency or weaker
STRONG_QUERY = _QUERY * _STRONG
"""Request units of a query of one partition with a small answer, at Strong."""
_POLICIES = {container.name: container.indexing_policy for container in PROVISIONED}


class Meter:
    """Charges requests, in the order in which they were answered: what an upsert costs depends on what it replaces."""

    def __init__(self) -> None:
        self._there: dict[tuple[str, str, str], Item] = {}

    def charge(self, request: Request) -> float:
        """Request units of `request`; those of a batch are the sum of its operations."""
        match request.kind:
            case "read":
                return _read(request.size) * _consistency(request)
            case "query":
                return max(_QUERY, _QUERY - 1 + _read(request.size)) * _consistency(request)
            case "write":
                return sum(self._write(request, item) for item in request.written)

    def _write(self, request: Request, item: Item) -> float:
        """A create is an insertion; an upsert of what is there is a deletion and an insertion."""
        place = (request.container, request.session_id, item["id"])
        before = self._there.get(place)
        new, old = set(terms(request.container, item)), set[str]()
        charge = written(size_of(item))
        if before is not None:
            old = set(terms(request.container, before))
            charge += written(size_of(before))
        if request.status < 300:  # a refused write is charged as if it were done, and leaves nothing
            self._there[place] = item
        return charge + _TERM * len(new ^ old)


def by_size(request: Request) -> float:
    """Request units by the table of sizes alone: an upsert as one write, and no index."""
    if request.kind == "write":
        return sum(written(size_of(item)) for item in request.written)
    return Meter().charge(request)


def creation(container: str, item: Item) -> float:
    """Request units of creating `item`."""
    return written(size_of(item)) + _TERM * len(set(terms(container, item)))


def replacement(size: int, changed: int) -> float:
    """Request units of replacing an item of so many bytes, of whose indexed values so many change."""
    return 2 * written(size) + _TERM * 2 * changed


def strong_read(size: int) -> float:
    """Request units of reading so many bytes at Strong."""
    return _read(size) * _STRONG


def size_of(item: Item) -> int:
    """Bytes of an item as it is sent."""
    return len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode())


def terms(container: str, item: Item) -> Generator[str]:
    """What an item adds to the index that its container's policy defines: a term for each value, and each composite.

    Of `id` and `_ts`, which no policy names, the source says nothing; they are not counted.
    """
    policy = _POLICIES[container]
    for path in (each["path"] for each in policy["includedPaths"]):
        for value in _values(path, item):
            yield f"{path} {json.dumps(value)}"
    for composite in policy.get("compositeIndexes", ()):
        names = [each["path"].removeprefix("/") for each in composite]
        if all(name in item for name in names):
            yield f"{names} {json.dumps([item[name] for name in names])}"


def written(size: int) -> float:
    """Request units of writing so many bytes, without any indexed term."""
    return _interpolated(size, 1)


def _read(size: int) -> float:
    return _interpolated(size, 0)


def _consistency(request: Request) -> int:
    return _STRONG if request.strong else 1


def _values(path: str, item: Item) -> Iterable[Any]:
    name, _, rest = path.removeprefix("/").partition("/")
    if name not in item:
        return ()
    return cast("list[Any]", item[name]) if rest.startswith("[]") else (item[name],)


def _interpolated(size: int, column: int) -> float:
    kilobytes = size / 1024
    if kilobytes <= _SIZES[0]:
        return _BY_SIZE[_SIZES[0]][column]
    above = min(bisect_left(_SIZES, kilobytes), len(_SIZES) - 1)
    low, high = _SIZES[above - 1], _SIZES[above]
    share = (kilobytes - low) / (high - low)
    return _BY_SIZE[low][column] + share * (_BY_SIZE[high][column] - _BY_SIZE[low][column])
