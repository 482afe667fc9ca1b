"""What a turn needs beside the app, imported while the host is still getting ready to run one."""

import importlib
import threading

from shared.settings import runs_durable_alone, settings


def warm_up() -> threading.Thread | None:
    """Begin to import what the first turn would wait for, where turns are all that this process will run.

    Such a process has nothing to do between indexing and its first turn, for which the host first opens its queues.
    Elsewhere requests come first, and this would be in their way. A turn that comes sooner waits for the same import.
    """
    if not runs_durable_alone():
        return None
    thread = threading.Thread(target=_import_all, name="warm-up", daemon=True)
    thread.start()
    return thread


def _import_all() -> None:
    if settings().cosmos_endpoint is not None:
        importlib.import_module("shared.stores.cosmos.opening")
    importlib.import_module("shared.models.openai")
