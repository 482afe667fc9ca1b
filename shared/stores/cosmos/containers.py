"""The containers as they must be: partition keys, index policies, times to live. `infra/` is held equal to this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SESSIONS = "sessions"
PROJECTS = "projects"
ROOMS = "rooms"
LEASES = "leases"
"""Where the change-feed trigger notes how far it has read."""
CONTAINERS = (SESSIONS, PROJECTS, ROOMS)
"""All that the app reads and writes itself: it is ready once each of them answers."""

PARTITION_KEY_VERSION = 2
"""Version 1 hashes only the first 101 bytes of a key; session ids have up to 128."""

NO_DEFAULT_TTL = -1
"""Documents that say so expire; all others stay."""

ROOMS_TTL = 7 * 24 * 60 * 60
"""Seconds for which rooms are kept."""


@dataclass(frozen=True)
class Container:
    """One container: `partition_key` is a path, `indexing_policy` as the API takes it, `default_ttl` in seconds."""

    name: str
    partition_key: str
    indexing_policy: Mapping[str, Any]
    default_ttl: int = NO_DEFAULT_TTL


def _indexing(*included: str, excluded: Sequence[str] = ("/*",), **more: Any) -> Mapping[str, Any]:
    """An index policy of these paths."""
    return {
        "indexingMode": "consistent",
        "automatic": True,
        "includedPaths": [{"path": path} for path in included],
        "excludedPaths": [{"path": path} for path in excluded],
        **more,
    }


_NEWEST_OF_AN_OWNER = [{"path": "/owner", "order": "descending"}, {"path": "/listing_key", "order": "descending"}]

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
            "/place/?",
            "/repair_due/?",
            "/owner/?",
            "/listing_key/?",
            "/project_id/?",
            "/status/?",
            "/agent_name/?",
            "/archived/?",
            "/deleted/?",
            "/labels/[]/?",
            compositeIndexes=[_NEWEST_OF_AN_OWNER],
        ),
    ),
    Container(
        PROJECTS,
        "/id",
        _indexing("/owner/?", "/listing_key/?", "/deleted/?", "/closing/?", compositeIndexes=[_NEWEST_OF_AN_OWNER]),
    ),
    # Rooms are read by their change feed. The one query, of a deleted session's entries, uses ids, which are indexed.
    Container(ROOMS, "/room", _indexing(), ROOMS_TTL),
    # The trigger requires this key, and it queries leases by their ids. A time to live would delete a lease that nobody
    # has renewed for long, and with it how far the feed was read.
    Container(LEASES, "/id", _indexing("/*", excluded=())),
)
"""All containers of the database. `infra/` creates them: the app's identity has the rights on data only."""
