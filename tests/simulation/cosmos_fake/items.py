"""The items of one container: versions, partitions, times to live, and the limits of the service."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from tests.simulation.cosmos_fake.queries import Item

MAX_OPERATIONS = 100
"""Of a batch."""
MAX_BYTES = 2 * 1024 * 1024
"""Of an item, and of a request."""
MAX_PARTITION_BYTES = 20 * 1024**3
_VERSIONS = 8
_FULL = 1014


class Version(NamedTuple):
    """An item after a write; None if the write deleted it. `lsn` numbers the partition's writes."""

    item: Item | None
    at: float
    etag: str
    lsn: int
    ttl: int | None


@dataclass
class Items:
    """All items of a container, each with its newest versions. `now` is the service's clock, in seconds."""

    partition_key: str
    now: Callable[[], float]
    default_ttl: int | None = None
    max_partition_bytes: int = MAX_PARTITION_BYTES
    _versions: dict[str, dict[str, list[Version]]] = field(default_factory=dict[str, dict[str, list[Version]]])
    _lsns: dict[str, int] = field(default_factory=dict[str, int])
    _sizes: dict[str, int] = field(default_factory=dict[str, int])
    _writes: int = 0

    def read(self, partition: str, item_id: str, staleness: float = 0.0) -> Item:
        """The item as it was `staleness` seconds ago. Raises CosmosResourceNotFoundError."""
        version = self._find(partition, item_id, staleness)
        if version is None:
            raise CosmosResourceNotFoundError(status_code=404, message=f"{item_id} does not exist")
        return dict(version.item or {})

    def scan(self, partition: str | None) -> Iterator[Item]:
        """The current items of a partition, or of all. The caller changes none of them."""
        partitions = list(self._versions) if partition is None else [partition]
        for key in partitions:
            for item_id in self._versions.get(key, {}):
                if (version := self._find(key, item_id)) is not None:
                    yield version.item or {}

    def create(self, body: Item) -> None:
        """Raises CosmosResourceExistsError."""
        if self._find(self.partition_of(body), body["id"]) is not None:
            raise CosmosResourceExistsError(status_code=409, message=f"{body['id']} exists")
        self.upsert(body)

    def upsert(self, body: Item) -> None:
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        size, partition = _bytes(text), self.partition_of(body)
        if size > MAX_BYTES:
            raise CosmosHttpResponseError(status_code=413, message="Request size is too large")
        used = self._sizes.get(partition, 0) + size
        if used > self.max_partition_bytes:
            raise CosmosHttpResponseError(status_code=403, message="The partition is full", sub_status=_FULL)
        self._add(partition, body["id"], json.loads(text), body.get("ttl"))
        self._sizes[partition] = used

    def replace(self, body: Item, etag: str | None) -> None:
        self._require(self.partition_of(body), body["id"], etag)
        self.upsert(body)

    def delete(self, partition: str, item_id: str, etag: str | None) -> None:
        self._require(partition, item_id, etag)
        self._add(partition, item_id, None, None)

    def partition_of(self, body: Item) -> str:
        return body[self.partition_key]

    def snapshot(self, partition: str, ids: Iterable[str]) -> Callable[[], None]:
        """Return a function that puts these items of the partition back into their current state."""
        stored = self._versions.setdefault(partition, {})
        versions = {item_id: list(stored.get(item_id, ())) for item_id in ids}
        size = self._sizes.get(partition, 0)

        def restore() -> None:
            stored.update(versions)
            self._sizes[partition] = size

        return restore

    def _require(self, partition: str, item_id: str, etag: str | None) -> None:
        version = self._find(partition, item_id)
        if version is None:
            raise CosmosResourceNotFoundError(status_code=404, message=f"{item_id} does not exist")
        if etag is not None and etag != version.etag:
            raise CosmosAccessConditionFailedError(status_code=412, message=f"{item_id} has changed")

    def _find(self, partition: str, item_id: str, staleness: float = 0.0) -> Version | None:
        seen_at = self.now() - staleness
        versions = self._versions.get(partition, {}).get(item_id, ())
        version = next((each for each in reversed(versions) if each.at <= seen_at), None)
        if version is None or version.item is None:
            return None
        ttl = self.default_ttl if version.ttl is None else version.ttl
        return None if ttl is not None and ttl > 0 and version.at + ttl < self.now() else version

    def _add(self, partition: str, item_id: str, item: Item | None, ttl: int | None) -> None:
        self._writes += 1
        lsn = self._lsns[partition] = self._lsns.get(partition, 0) + 1
        etag, now = f'"{self._writes}"', self.now()
        if item is not None:
            item |= {"_ts": int(now), "_etag": etag, "_lsn": lsn}
        versions = self._versions.setdefault(partition, {}).setdefault(item_id, [])
        versions.append(Version(item, now, etag, lsn, ttl))
        del versions[:-_VERSIONS]


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def size_of_batch(bodies: list[Any]) -> int:
    """The bytes of a batch, as it is sent."""
    return _bytes(json.dumps(bodies, separators=(",", ":"), ensure_ascii=False))
