"""What is done once, when the app is loaded: the data folder, warnings, and imports ahead of the first turn."""

import importlib
import logging
import threading

from shared.models.missing import NO_MODEL
from shared.settings import runs_durable_alone, settings

_log = logging.getLogger(__name__)


def start_up() -> None:
    """Prepare this process for the app's functions. Nothing here waits for a network."""
    current = settings()
    if current.cosmos_endpoint is None:
        # Now, before the host takes note of the folders in the app's root: one that appears later restarts it.
        current.data_dir.mkdir(parents=True, exist_ok=True)
    if not current.has_model:
        _log.warning(NO_MODEL)
    _hide_the_workers_web_server()
    if runs_durable_alone():
        _warm_up()


def _hide_the_workers_web_server() -> None:
    """Hide the port on which the Functions host reaches its worker, which a newcomer takes for the app's address.

    Its line for each request goes as well: the host logs each run of a function already. Filters, since the web server
    sets up its loggers after the app is loaded, and leaves only filters as they are.
    """
    logging.getLogger("uvicorn.error").addFilter(lambda record: not str(record.msg).startswith("Uvicorn running on"))
    logging.getLogger("uvicorn.access").addFilter(lambda _: False)


def _warm_up() -> None:
    """Begin to import what the first turn would wait for, where turns are all that this process will run.

    Such a process has nothing to do between indexing and its first turn, for which the host first opens its queues.
    Elsewhere requests come first, and this would be in their way. A turn that comes sooner waits for the same import.
    """
    threading.Thread(target=_import_all, name="warm-up", daemon=True).start()


def _import_all() -> None:
    if settings().cosmos_endpoint is not None:
        importlib.import_module("shared.stores.cosmos.log")
    importlib.import_module("shared.models.openai")
