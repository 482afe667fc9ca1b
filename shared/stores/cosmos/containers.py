"""The containers as they must be: partition keys, index policies, times to live. `infra/` is held equal to this."""

from typing import Any

SESSIONS = "sessions"
PROJECTS = "projects"
ROOMS = "rooms"
LEASES = "leases"
"""Where the change-feed trigger notes how far it has read."""
CONTAINERS = (SESSIONS, PROJECTS, ROOMS)
"""All that the app reads and writes itself: it is ready once each of them answers."""

SESSIONS_PARTITION_KEY: dict[str, Any] = {
    # Version 1 hashes only the first 101 bytes of a key; session ids have up to 128.
    "paths": ["/session_id"],
    "kind": "Hash",
    "version": 2,
}

SESSIONS_INDEXING_POLICY: dict[str, Any] = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [
        {"path": f"/{field}/?"}
        for field in (
            "session_id",
            "last",
            "last_non_delta",
            "writer",
            "types/[]",
            "place",
            "repair_due",
            "owner",
            "listing_key",
            "project_id",
            "status",
            "agent_name",
            "archived",
            "deleted",
            "labels/[]",
        )
    ],
    "excludedPaths": [{"path": "/*"}],
    "compositeIndexes": [
        [{"path": "/owner", "order": "descending"}, {"path": "/listing_key", "order": "descending"}],
    ],
}

NO_DEFAULT_TTL = -1
"""Documents that say so expire; all others stay."""

PROJECTS_PARTITION_KEY: dict[str, Any] = {"paths": ["/id"], "kind": "Hash", "version": 2}

PROJECTS_INDEXING_POLICY: dict[str, Any] = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": f"/{field}/?"} for field in ("owner", "listing_key", "deleted", "closing")],
    "excludedPaths": [{"path": "/*"}],
    "compositeIndexes": [
        [{"path": "/owner", "order": "descending"}, {"path": "/listing_key", "order": "descending"}],
    ],
}

ROOMS_PARTITION_KEY: dict[str, Any] = {"paths": ["/room"], "kind": "Hash", "version": 2}

# Rooms are read by their change feed. The one query, of a deleted session's entries, goes by ids, which are indexed.
ROOMS_INDEXING_POLICY: dict[str, Any] = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [],
    "excludedPaths": [{"path": "/*"}],
}

ROOMS_TTL = 7 * 24 * 60 * 60
"""Seconds for which rooms are kept."""
