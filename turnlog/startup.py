"""What happens once, when the app is loaded: data folder, warnings, and early imports for the first turn."""

import importlib
import logging
import threading
from pathlib import Path

from turnlog.agents.discovery import AgentMistakesError
from turnlog.agents.registry import agents_folder, load_agents
from turnlog.models.unconfigured import NO_MODEL
from turnlog.settings import SettingsError, runs_durable_alone, settings

_log = logging.getLogger(__name__)


def start_up() -> None:
    """Prepare this process for the app's functions. Nothing here waits for a network."""
    current = settings()
    if current.cosmos_endpoint is None:
        # Before the host lists the folders in the app's root, because a folder that appears later restarts it.
        _check_file(current.data_dir / "sessions.db")
    if not current.has_model:
        _log.warning(NO_MODEL)
    _load_agents(current.agents_dir)
    _hide_the_workers_web_server()
    if runs_durable_alone():
        _warm_up()


def _check_file(path: Path) -> None:
    """Create the data folder and the file of the sessions, or check them.

    Raises:
        SettingsError: the app would start and then refuse every request.
    """
    from turnlog.stores.sqlite.file import BrokenFileError, check_file  # noqa: PLC0415  # only where it is used

    try:
        check_file(path)
    except BrokenFileError as error:
        raise SettingsError(f"DATA_DIR: {error}") from None


def _load_agents(named: Path | None) -> None:
    """Find the agents of this app. Raises SettingsError: some can't be used."""
    try:
        load_agents(agents_folder(named))
    except AgentMistakesError as error:
        raise SettingsError(f"Agents can't be used:\n{error}") from None


def _hide_the_workers_web_server() -> None:
    """Hide the port on which the Functions host reaches its worker: it looks like the app's address, but is not.

    Also hide its line for each request, because the host logs each run of a function. Filters are used because the web
    server sets up its loggers after the app is loaded, and keeps only their filters.
    """
    logging.getLogger("uvicorn.error").addFilter(lambda record: not str(record.msg).startswith("Uvicorn running on"))
    logging.getLogger("uvicorn.access").addFilter(lambda _: False)


def _warm_up() -> None:
    """Start importing what the first turn needs, in a process that runs only turns.

    Such a process is idle between indexing and its first turn, while the host opens its queues. Other processes get
    requests first, and this would slow them down. A turn that starts earlier waits for the same import.
    """
    threading.Thread(target=_import_all, name="warm-up", daemon=True).start()


def _import_all() -> None:
    if settings().cosmos_endpoint is not None:
        importlib.import_module("turnlog.stores.cosmos.log")
    importlib.import_module("turnlog.models.openai")
