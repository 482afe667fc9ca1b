"""What one owner may use of one process."""

from dataclasses import dataclass


@dataclass(frozen=True)
class OwnerLimits:
    """Requests in a second, open streams, and turns that run at once. None is no limit."""

    requests_per_second: int | None = None
    streams: int | None = None
    turns: int | None = None
