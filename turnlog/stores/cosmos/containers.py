"""The containers as they must be: partition keys, index policies, times to live. A test compares `infra/` to this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SESSIONS = "sessions"
PROJECTS = "projects"
ROOMS = "rooms"
LEASES = "leases"
"""Where the change-feed triggers store how far they have read."""
CONTAINERS = (SESSIONS, PROJECTS, ROOMS)
"""The containers that the app itself reads and writes. It is ready once each of them answers."""

PARTITION_KEY_VERSION = 2
"""Version 1 hashes only the first 101 bytes of a key; session ids have up to 128."""

NO_DEFAULT_TTL = -1
"""Only documents with a `ttl` expire."""

ROOMS_TTL = 7 * 24 * 60 * 60
"""How long room entries are kept, in seconds."""


@dataclass(frozen=True)
class Container:
    """`partition_key` is a path, `indexing_policy` has the form of the API, and `default_ttl` is in seconds."""

    name: str
    partition_key: str
    indexing_policy: Mapping[str, Any]
    default_ttl: int = NO_DEFAULT_TTL


def _indexing(*included: str, excluded: Sequence[str] = ("/*",), **more: Any) -> Mapping[str, Any]:
    """An index policy that includes these paths."""
    return {
        "indexingMode": "consistent",
        "automatic": True,
        "includedPaths": [{"path": path} for path in included],
        "excludedPaths": [{"path": path} for path in excluded],
        **more,
    }


_OWNER_NEWEST_FIRST = [{"path": "/owner", "order": "descending"}, {"path": "/listing_key", "order": "descending"}]

PROVISIONED = (
    Container(
        SESSIONS,
        "/session_id",
        _indexing(
            "/session_id/?",
            "/last/?",
            "/last_non_delta/?",
            "/writer/?",
            "/types/[]/?",
            "/sort_key/?",
            "/repair_due/?",
            "/clear_due/?",
            "/owner/?",
            "/listing_key/?",
            "/project_id/?",
            "/status/?",
            "/agent_name/?",
            "/archived/?",
            "/hidden/?",
            "/labels/[]/?",
            compositeIndexes=[_OWNER_NEWEST_FIRST],
        ),
    ),
    Container(
        PROJECTS,
        "/id",
        _indexing(
            "/owner/?", "/listing_key/?", "/deleted/?", "/deletion_due/?", compositeIndexes=[_OWNER_NEWEST_FIRST]
        ),
    ),
    # Rooms are read by their change feed. The only query, for a deleted session's entries, uses the ids' own index.
    Container(ROOMS, "/room", _indexing(), ROOMS_TTL),
    # The trigger requires this key, and it queries leases by their ids. A time to live would delete a lease that has
    # not been renewed for long, and with it how far the feed was read.
    Container(LEASES, "/id", _indexing("/*", excluded=())),
)
"""All containers of the database. `infra/` creates them, since the app's identity has rights on data only."""
