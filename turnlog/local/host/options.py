"""The options of a host: from its caller, the environment, and the app's host.json and local.settings.json."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from turnlog.domain.loopback import is_loopback
from turnlog.domain.origins import AllowedOrigins, allowed_origins
from turnlog.local.errors import RefusedError

PLATFORM_SETTINGS = {
    "PYTHON_ENABLE_INIT_INDEXING": "1",  # without it workers up to Python 3.12 do not stream
    "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING": "1",  # payloads are plain values: nothing is imported by a name in them
    "TASKHUB_NAME": "turnlog",
}
"""Settings that every host of this app sets; host.json names the task hub by the last one."""

_MAX_PORT = 65535


@dataclass(frozen=True)
class Options:
    """How an app is served; port 0 takes a free port."""

    host: str = "127.0.0.1"
    port: int = 7071
    data_dir: Path = Path(".data")
    task_hub: str = "local"
    route_prefix: str = "api"
    cors: AllowedOrigins = field(default_factory=AllowedOrigins)
    slots: int = 100  # activities that run at once
    grace: float = 30.0  # seconds that open requests and streams get at the end, as in Azure
    input_seconds: float = 30.0  # within which the headers of a request must arrive, and then its body
    print_request: Callable[[str], None] | None = None  # gets a line for each request, if there is somebody to read it


def read_values(app_dir: Path) -> dict[str, str]:
    """Return the `Values` of local.settings.json; none if there is no such file."""
    values = _read(app_dir / "local.settings.json").get("Values", {})
    return {name: str(value) for name, value in values.items()}


def load_settings(app_dir: Path) -> None:
    """Set the `Values` of local.settings.json in the environment, as `func start` does, unless they are set there."""
    for name, value in read_values(app_dir).items():
        os.environ.setdefault(name, value)


def name_account() -> None:
    """Set the account of the app as that of its Cosmos DB triggers; in Azure the settings name both."""
    if account := os.environ.get("COSMOS_ENDPOINT"):
        os.environ.setdefault("COSMOS__accountEndpoint", account)


def options_of(app_dir: Path, host: str | None, port: int | None, data_dir: Path) -> Options:
    """Return the options from the environment and from host.json in `app_dir`.

    Raises:
        RefusedError: host.json is not a JSON object or names orchestration versions, or PORT is not a number.
    """
    extensions = _read(app_dir / "host.json").get("extensions", {})
    durable = extensions.get("durableTask", {})
    if "defaultVersion" in durable:
        raise RefusedError("host.json: local host does not serve extensions.durableTask.defaultVersion; remove it")
    named = re.sub("%([^%]+)%", lambda found: os.environ.get(found[1], ""), durable.get("hubName", ""))
    return Options(
        host=host or os.environ.get("HOST", Options.host),
        port=port_of(os.environ.get("PORT", "")) if port is None else port,
        data_dir=data_dir,
        task_hub=named or os.environ.get("TASKHUB_NAME") or Options.task_hub,
        route_prefix=extensions.get("http", {}).get("routePrefix", Options.route_prefix),
        cors=allowed_origins(os.environ.get("AUTH_MODE") or "none", _listed("CORS_ORIGINS"), _listed("ALLOWED_HOSTS")),
        slots=durable.get("maxConcurrentActivityFunctions", Options.slots),
    )


def exposure_of(host: str, auth_mode: str | None) -> str | None:
    """Return what to warn of if other machines can reach an app that identifies no caller."""
    if is_loopback(host) or (auth_mode or "none") != "none":
        return None
    return (
        f"WARNING: HOST={host} lets other machines reach this app. With AUTH_MODE=none everyone who reaches it may read"
        " and change everything. Set AUTH_MODE=jwt, or leave HOST out."
    )


def port_of(text: str) -> int:
    """Return the port that PORT names; empty is the default, and 0 takes a free port.

    Raises:
        RefusedError: it is not a port.
    """
    text = text or str(Options.port)
    if not text.isdigit() or int(text) > _MAX_PORT:
        raise RefusedError(f"PORT must be a number from 0 to {_MAX_PORT}, not {text!r}")
    return int(text)


def _listed(name: str) -> list[str]:
    return [entry.strip() for entry in os.environ.get(name, "").split(",") if entry.strip()]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RefusedError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise RefusedError(f"{path} must hold a JSON object")
    return cast("dict[str, Any]", content)
