"""What store operations cost: stores add the charge of each request, and a caller can ask for the sum."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Charge:
    """A sum of request units."""

    units: float = 0.0


_current: ContextVar[Charge | None] = ContextVar("charge", default=None)


@contextmanager
def charged() -> Generator[Charge]:
    """Sum the charges of the requests that this task makes while the body runs."""
    charge = Charge()
    token = _current.set(charge)
    try:
        yield charge
    finally:
        _current.reset(token)


def add(units: float) -> None:
    """Add the charge of one request."""
    if (charge := _current.get()) is not None:
        charge.units += units
