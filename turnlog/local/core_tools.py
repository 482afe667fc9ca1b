"""Serves the app with Azure Functions Core Tools: starts `func`, and Azurite and the scripted model beside it.

This process supervises all three. When `func` ends (by Ctrl+C, by SIGTERM or by itself), open streams get their time
first. Then Azurite and the model end, and no process is left. If this process is killed, all of them are killed.
"""

import http.client
import json
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from turnlog.local.azurite import DEVELOPMENT_STORAGE, Azurite
from turnlog.local.errors import RefusedError
from turnlog.local.first_steps import first_steps
from turnlog.local.host.options import PLATFORM_SETTINGS, exposure_of, port_of, read_values
from turnlog.local.lock import hold
from turnlog.local.model.launch import DEFAULT_MODEL, ModelServer
from turnlog.local.process_group import STOP_SECONDS, ProcessGroup
from turnlog.local.sockets import bind

_POLL_SECONDS = 0.2
_HINT_SECONDS = 60.0
_SETTINGS = {
    **PLATFORM_SETTINGS,
    "FUNCTIONS_WORKER_RUNTIME": "python",
    "AzureWebJobsStorage": DEVELOPMENT_STORAGE,
    "AzureWebJobsDisableHomepage": "true",
}


class Settings:
    """The environment of `func`, and the local.settings.json that `func` reads itself.

    What the file sets stays in the file: Core Tools print a line for each of its values that the environment also sets.
    """

    def __init__(self, app_dir: Path) -> None:
        self._file = read_values(app_dir)
        self.environment = dict(os.environ)

    def get(self, name: str) -> str:
        """Return the value that the app will see; empty counts as not set."""
        return self.environment.get(name) or self._file.get(name, "")

    def set(self, name: str, value: str) -> None:
        """Set `name` for `func`; this wins over the file."""
        self.environment[name] = value

    def set_default(self, name: str, value: str) -> None:
        """Set `name` unless it is set."""
        if not self.get(name):
            self.set(name, value)


@dataclass
class Stop:
    """How often this process was asked to stop (Ctrl+C, SIGTERM); `event` is set at the first time."""

    times: int = 0
    event: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, self._on_signal)

    def _on_signal(self, *_: object) -> None:
        self.times += 1
        self.event.set()


def serve() -> int:
    """Run Core Tools until they end or this process is asked to stop; return the exit code.

    Raises:
        HostError: a program or a port is missing or does not start; the text says what to do.
    """
    _require_tools()
    stop, settings = Stop(), Settings(Path())
    stop.listen()
    port = _free_port(settings)
    data_dir = Path(settings.get("DATA_DIR") or ".data").resolve()
    with ExitStack() as stack:
        # The folder is created before the host starts: a folder that appears in the app's root later restarts the host.
        stack.enter_context(hold(data_dir))
        _complete(settings, data_dir)
        if not settings.get("OPENAI_BASE_URL"):
            _use_model(settings, stack.enter_context(ModelServer()).wait())
        azurite = _start_azurite(settings, data_dir, stack)
        if azurite is not None and not azurite.wait(stop.event):
            return 0
        # Only the command is asked to stop: npm's wrapper passes that on, and the worker has to serve until the end.
        func = stack.enter_context(ProcessGroup(_command(settings, port), settings.environment))
        threading.Thread(target=_print_when_ready, args=(port, stop), daemon=True).start()
        return _supervise(func, azurite, stop)


def _require_tools() -> None:
    if sys.platform == "win32":
        raise RefusedError("HOST_MODE=func is not supported on Windows: start Azurite, then `func start`, yourself")
    for tool, source in (("func", "npm install -g azure-functions-core-tools@4"), ("npx", "Node.js")):
        if shutil.which(tool) is None:
            raise RefusedError(f"HOST_MODE=func needs {tool} on the PATH ({source}); HOST_MODE=local does not")


def _free_port(settings: Settings) -> int:
    """Return the port to serve on; a free one for 0.

    Raises:
        AddressError: it is in use.
    """
    with bind("127.0.0.1", port_of(settings.get("PORT"))) as probe:
        return probe.getsockname()[1]


def _complete(settings: Settings, data_dir: Path) -> None:
    for name, value in _SETTINGS.items():
        settings.set_default(name, value)
    settings.set_default("DATA_DIR", str(data_dir))
    if account := settings.get("COSMOS_ENDPOINT"):
        settings.set_default("COSMOS__accountEndpoint", account)  # the name that Cosmos DB triggers read
    # Core Tools take `python3` from PATH, not the Python that runs this.
    folder = str(Path(sys.executable).parent)
    settings.set("PATH", os.pathsep.join([folder, settings.environment.get("PATH", "")]))
    # Bytecode beside the modules would be a new folder in the app's root.
    settings.set_default("PYTHONPYCACHEPREFIX", str(data_dir / "bytecode"))


def _use_model(settings: Settings, url: str) -> None:
    settings.set("OPENAI_BASE_URL", url)
    settings.set_default("OPENAI_API_KEY", "unused")
    settings.set_default("MODEL", DEFAULT_MODEL)
    print(f"  model          scripted, at {url} (OPENAI_BASE_URL is not set)", flush=True)


def _start_azurite(settings: Settings, data_dir: Path, stack: ExitStack) -> Azurite | None:
    if settings.get("AzureWebJobsStorage") != DEVELOPMENT_STORAGE:
        print("  storage        as AzureWebJobsStorage says", flush=True)
        return None
    azurite = Azurite(data_dir, stack)
    if azurite.connection != DEVELOPMENT_STORAGE:
        settings.set("AzureWebJobsStorage", azurite.connection)
    return azurite


def _command(settings: Settings, port: int) -> list[str]:
    command = ["func", "start", "--port", str(port)]
    if origins := settings.get("CORS_ORIGINS"):
        command += ["--cors", ",".join(origin.strip() for origin in origins.split(","))]
    # Core Tools before 4.14 do not know the option, and listen on every address; later ones only on 127.0.0.1.
    if (host := settings.get("HOST")) and host != "127.0.0.1":
        if warning := exposure_of(host, settings.get("AUTH_MODE")):
            print(warning, file=sys.stderr, flush=True)
        command += ["--address", host]
    return command


def _print_when_ready(port: int, stop: Stop) -> None:
    """Print the address as soon as it answers, and which checks fail if the app is not ready."""
    url = f"http://127.0.0.1:{port}"
    hint_at = time.monotonic() + _HINT_SECONDS
    while not _is_healthy(url):
        if stop.event.wait(_POLL_SECONDS):
            return
        if time.monotonic() > hint_at:
            print(f"{url}/health does not answer yet: check for an error above", flush=True)
            hint_at = float("inf")
    for name, state in _failing_checks(url).items():
        print(f"not ready: {name}: {state}", flush=True)
    print(*first_steps(url), f"listening on {url}", sep="\n", flush=True)


def _is_healthy(url: str) -> bool:
    with suppress(OSError, http.client.HTTPException), urlopen(f"{url}/health", timeout=5):  # noqa: S310
        return True
    return False


def _failing_checks(url: str) -> dict[str, str]:
    try:
        with urlopen(f"{url}/ready", timeout=30):  # noqa: S310
            return {}
    except HTTPError as error:
        checks: dict[str, str] = json.loads(error.read()).get("checks", {})
        return {name: state for name, state in checks.items() if state != "ok"}
    except (OSError, http.client.HTTPException):
        return {}  # the app has ended


def _supervise(func: ProcessGroup, azurite: Azurite | None, stop: Stop) -> int:
    """Wait for the end of `func`, and pass each stop on to it; return the exit code."""
    passed_on = 0
    while (code := func.poll()) is None:
        if azurite is not None and azurite.has_ended and not passed_on:
            print("Azurite ended, and without it no turn can run: stopping func", flush=True)
            return 1
        if stop.times > passed_on:
            passed_on += 1
            func.stop()
            print(_STOPPING if passed_on == 1 else "cutting open streams", flush=True)
        time.sleep(_POLL_SECONDS)
    return 0 if passed_on else code


_STOPPING = f"stopping: open streams get up to {STOP_SECONDS:.0f} s (a second signal cuts them)"
