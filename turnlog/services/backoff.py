"""Backoff: what failed is tried again after a pause that doubles each time."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Generic, TypeVar

K = TypeVar("K")

_FIRST_PAUSE = timedelta(seconds=30)
_MAX_PAUSE = timedelta(hours=1)
_MAX_KEYS = 10_000


class Backoff(Generic[K]):
    """Remembers, in this process, what has failed and until when it is left alone; the newest 10 000 entries."""

    def __init__(self) -> None:
        self._entries = OrderedDict[K, tuple[int, datetime]]()

    def is_waiting(self, key: K, now: datetime) -> bool:
        """Whether `key` is not to be tried yet."""
        _, until = self._entries.get(key, (0, now))
        return now < until

    def failed(self, key: K, now: datetime) -> timedelta:
        """Record a failure, and return the pause until the next attempt."""
        failures, _ = self._entries.pop(key, (0, now))
        pause = min(_FIRST_PAUSE * 2 ** min(failures, 20), _MAX_PAUSE)
        self._entries[key] = (failures + 1, now + pause)
        if len(self._entries) > _MAX_KEYS:
            self._entries.popitem(last=False)
        return pause

    def succeeded(self, key: K) -> None:
        self._entries.pop(key, None)
