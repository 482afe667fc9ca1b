"""Waits between tries: longer each time, with jitter. Times are in seconds."""

import random
from dataclasses import dataclass


@dataclass
class Backoff:
    """Counts failures in a row, and says how long to wait after each. Readers that fail together return spread out.

    `min` and `max` are the longest waits after the first failure, and after any number of failures.
    """

    min: float = 0.5
    max: float = 10.0
    failures: int = 0

    def next(self, at_minimum: float = 0) -> float:
        """Count a failure; return the wait: `at_minimum` with some more, which differs for each reader."""
        limit = min(self.max, self.min * 2 ** min(self.failures, 30))
        self.failures += 1
        return (at_minimum or limit / 2) + random.random() * limit / 2  # noqa: S311 - it spreads readers, no more

    def reset(self) -> None:
        """Forget the failures."""
        self.failures = 0
