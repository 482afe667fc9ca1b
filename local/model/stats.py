"""What the scripted model counts of its requests."""

from collections import defaultdict
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass
class Counts:
    """What became of requests; one that was refused, or gone before its answer began, never started."""

    requests: int = 0
    started: int = 0
    finished: int = 0
    aborted: int = 0
    tokens_sent: int = 0
    active: int = 0


class Stats:
    """Counts per model name, of the requests that named a scripted model."""

    def __init__(self) -> None:
        self.models: defaultdict[str, Counts] = defaultdict(Counts)
        self.last_abort_at: float | None = None

    def dump(self) -> dict[str, Any]:
        models = {name: asdict(counts) for name, counts in self.models.items()}
        total = {field.name: sum(counts[field.name] for counts in models.values()) for field in fields(Counts)}
        return {**total, "last_abort_at": self.last_abort_at, "models": models}
