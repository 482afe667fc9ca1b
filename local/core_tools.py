"""Serves the app with Azure Functions Core Tools: starts `func` with Azurite and the scripted model beside it.

One supervisor for all three. However `func` ends (by Ctrl+C, by SIGTERM, by itself), open streams get their time first,
then Azurite and the model end, and nothing is left running. If this process is killed, all of them are killed with it.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from local.errors import AddressError, HostError, RefusedError
from local.host.options import PLATFORM_SETTINGS, port_of, read_values
from local.lock import locked
from local.model.launch import DEFAULT_MODEL, ModelServer
from local.process_group import STOP_SECONDS, ProcessGroup
from local.sockets import bind

AZURITE = "azurite@3.37.0"

_POLL_SECONDS = 0.2
_HINT_SECONDS = 60.0
_DEVELOPMENT_STORAGE = "UseDevelopmentStorage=true"
_SERVICES = {"Blob": 10000, "Queue": 10001, "Table": 10002}
# Azurite's own account, the same on every machine (Microsoft publishes it); it protects nothing.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_SETTINGS = {
    **PLATFORM_SETTINGS,
    "FUNCTIONS_WORKER_RUNTIME": "python",
    "AzureWebJobsStorage": _DEVELOPMENT_STORAGE,
    "AzureWebJobsDisableHomepage": "true",
}


class Settings:
    """The environment that `func` gets, beside the local.settings.json that it reads by itself.

    What the file sets stays in the file: Core Tools prints a line for each of its values that the environment sets too.
    """

    def __init__(self, app_dir: Path) -> None:
        self._file = read_values(app_dir)
        self.environment = dict(os.environ)

    def get(self, name: str) -> str:
        """Return what the app will see; empty counts as not set."""
        return self.environment.get(name) or self._file.get(name, "")

    def set(self, name: str, value: str) -> None:
        """Set `name` for `func`, whatever the file says."""
        self.environment[name] = value

    def set_default(self, name: str, value: str) -> None:
        """Set `name` unless it is set."""
        if not self.get(name):
            self.set(name, value)


@dataclass
class Stop:
    """Whether somebody asked this process to stop (Ctrl+C, SIGTERM), and how often."""

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
        HostError: something that is needed is missing, in use or does not start; the text says what to do.
    """
    _require_tools()
    stop, settings = Stop(), Settings(Path())
    stop.listen()
    port = _free_port(settings)
    data_dir = Path(settings.get("DATA_DIR") or ".data").resolve()
    with ExitStack() as stack:
        # The folder is there before the host starts: a folder that appears in the app's root later restarts the host.
        stack.enter_context(locked(data_dir))
        _complete(settings, data_dir)
        if not settings.get("OPENAI_BASE_URL"):
            _use_model(settings, stack.enter_context(ModelServer()).wait())
        azurite = _start_azurite(settings, data_dir, stack)
        if azurite is not None and not _wait_for_storage(settings, azurite, stop):
            return 0
        # Only the command is asked to stop: npm's wrapper passes that on, and the worker has to go on meanwhile.
        func = stack.enter_context(ProcessGroup(_command(settings, port), settings.environment))
        threading.Thread(target=_say_when_ready, args=(port, stop), daemon=True).start()
        return _supervise(func, azurite, stop)


def _require_tools() -> None:
    if sys.platform == "win32":
        raise RefusedError("HOST_MODE=func is not supported on Windows: start Azurite, then `func start`, by yourself")
    for tool, source in (("func", "npm install -g azure-functions-core-tools@4"), ("npx", "Node.js")):
        if shutil.which(tool) is None:
            raise RefusedError(f"HOST_MODE=func needs {tool} on the PATH ({source}); HOST_MODE=local does without")


def _free_port(settings: Settings) -> int:
    """Return the port to serve on, which nobody uses yet; a free one for 0."""
    with bind("127.0.0.1", port_of(settings.get("PORT"))) as probe:
        return probe.getsockname()[1]


def _complete(settings: Settings, data_dir: Path) -> None:
    for name, value in _SETTINGS.items():
        settings.set_default(name, value)
    settings.set_default("DATA_DIR", str(data_dir))
    if account := settings.get("COSMOS_ENDPOINT"):
        settings.set_default("COSMOS__accountEndpoint", account)  # the name under which Cosmos DB triggers look for it
    # Core Tools take `python3` from PATH, whatever runs this.
    folder = str(Path(sys.executable).parent)
    settings.set("PATH", os.pathsep.join([folder, settings.environment.get("PATH", "")]))
    # Bytecode beside the modules would be a new folder in the app's root.
    settings.set_default("PYTHONPYCACHEPREFIX", str(data_dir / "bytecode"))


def _use_model(settings: Settings, url: str) -> None:
    settings.set("OPENAI_BASE_URL", url)
    settings.set_default("OPENAI_API_KEY", "unused")
    settings.set_default("MODEL", DEFAULT_MODEL)
    print(f"  model          scripted, at {url} (OPENAI_BASE_URL is not set)", flush=True)


def _start_azurite(settings: Settings, data_dir: Path, stack: ExitStack) -> ProcessGroup | None:
    """Start Azurite, unless the settings name a storage account: on its default ports, or on free ones."""
    if settings.get("AzureWebJobsStorage") != _DEVELOPMENT_STORAGE:
        print("  storage        as AzureWebJobsStorage says", flush=True)
        return None
    ports = {service: _port_or_free(port) for service, port in _SERVICES.items()}
    if ports != _SERVICES:
        settings.set("AzureWebJobsStorage", _connection_string(ports))
    command = [
        "npx",
        "--yes",
        "--loglevel",
        "error",
        AZURITE,
        "--silent",
        "--skipApiVersionCheck",
        "--location",
        str(data_dir / "azurite"),
    ]
    for service, port in ports.items():
        command += [f"--{service.lower()}Port", str(port)]
    print(f"  storage        Azurite, at 127.0.0.1:{ports['Blob']} (npx downloads it the first time) …", flush=True)
    # npx may wait for the node process that it starts, without a word to it.
    return stack.enter_context(ProcessGroup(command, signal_all=True))


def _port_or_free(port: int) -> int:
    for wanted in (port, 0):
        with suppress(AddressError), bind("127.0.0.1", wanted) as probe:
            return probe.getsockname()[1]
    raise AddressError("there is no free port for Azurite")


def _connection_string(ports: dict[str, int]) -> str:
    endpoints = [f"{service}Endpoint=http://127.0.0.1:{port}/{_ACCOUNT}" for service, port in ports.items()]
    account = ["DefaultEndpointsProtocol=http", f"AccountName={_ACCOUNT}", f"AccountKey={_KEY}"]
    return ";".join([*account, *endpoints]) + ";"


def _wait_for_storage(settings: Settings, azurite: ProcessGroup, stop: Stop) -> bool:
    """Wait until Azurite accepts connections; false if somebody asked to stop. Core Tools give up after a while."""
    began = time.monotonic()
    for port in _ports_of(settings.get("AzureWebJobsStorage")):
        while not _accepts(port):
            if stop.event.wait(_POLL_SECONDS):
                return False
            if azurite.poll() is not None:
                raise HostError(f"Azurite (npx {AZURITE}) ended before it listened; HOST_MODE=local does without it")
    print(f"  storage        ready after {time.monotonic() - began:.0f} s", flush=True)
    return True


def _ports_of(connection: str) -> list[int]:
    if connection == _DEVELOPMENT_STORAGE:
        return list(_SERVICES.values())
    return [int(part.rsplit(":", 1)[1].partition("/")[0]) for part in connection.split(";") if "Endpoint=" in part]


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _command(settings: Settings, port: int) -> list[str]:
    command = ["func", "start", "--port", str(port)]
    if origins := settings.get("CORS_ORIGINS"):
        command += ["--cors", ",".join(origin.strip() for origin in origins.split(","))]
    # Core Tools before 4.14 do not know the option, and listen on every address; later ones only on 127.0.0.1.
    if (host := settings.get("HOST")) and host != "127.0.0.1":
        command += ["--address", host]
    return command


def _say_when_ready(port: int, stop: Stop) -> None:
    """Print the address as soon as it answers, and what is missing where the app is not ready."""
    url = f"http://127.0.0.1:{port}"
    hint_at = time.monotonic() + _HINT_SECONDS
    while not _is_healthy(url):
        if stop.event.wait(_POLL_SECONDS):
            return
        if time.monotonic() > hint_at:
            print(f"{url}/health does not answer yet: look for an error above", flush=True)
            hint_at = float("inf")
    for name, state in _failing_checks(url).items():
        print(f"not ready: {name}: {state}", flush=True)
    print(f"listening on {url}", flush=True)


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
        return {}  # it has ended


def _supervise(func: ProcessGroup, azurite: ProcessGroup | None, stop: Stop) -> int:
    """Wait for the end of `func`, and pass on what this process is asked; return the exit code."""
    asked = 0
    while (code := func.poll()) is None:
        if azurite is not None and azurite.poll() is not None and not asked:
            print("Azurite ended, and without it no turn can run: stopping func", flush=True)
            return 1
        if stop.times > asked:
            asked += 1
            func.stop()
            print(_STOPPING if asked == 1 else "cutting what is still open", flush=True)
        time.sleep(_POLL_SECONDS)
    return 0 if asked else code


_STOPPING = f"stopping: open streams have their time, {STOP_SECONDS:.0f} s at most (a second signal cuts them)"
