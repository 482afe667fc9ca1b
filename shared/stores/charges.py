"""What store operations cost: stores add each request's charge, and who runs an operation may ask for their sum."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Charge:
    """Request units so far."""

    units: float = 0.0


_open: ContextVar[Charge | None] = ContextVar("charge", default=None)


@contextmanager
def charged() -> Generator[Charge]:
    """Gather what the requests made meanwhile, in this task, cost."""
    charge = Charge()
    token = _open.set(charge)
    try:
        yield charge
    finally:
        _open.reset(token)


def add(units: float) -> None:
    """Count one request's charge."""
    if (charge := _open.get()) is not None:
        charge.units += units
