"""Whether this process tells anything, and the one object it does it with."""

import importlib
from functools import cache

from shared.settings import settings
from shared.telemetry.recorder import Telemetry


@cache
def telemetry() -> Telemetry | None:
    """The process's telemetry; None where the settings ask for none, and nothing of it is imported then."""
    current = settings()
    if not current.has_telemetry:
        return None
    return importlib.import_module("shared.telemetry.exporters").started(current)
