"""The index: what functions an app has, read once from their bindings."""

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from azure.functions import FunctionRegister

from local.errors import RefusedError
from local.host.routes import Route, RouteError
from local.host.rules import check


@dataclass(frozen=True)
class Function:
    """A function that can be called: with its trigger's value, and with the durable client where it asks for one."""

    name: str
    call: Callable[..., Any]
    is_async: bool
    trigger: str
    clients: tuple[str, ...]


@dataclass(frozen=True)
class Timed:
    """A function on a schedule, as its decorator was given it."""

    function: Function
    schedule: str
    run_on_startup: bool


@dataclass(frozen=True)
class Fed:
    """A function that is given the changes of a Cosmos DB container, as its decorators were given it."""

    function: Function
    connection: str
    database: str
    container: str
    leases: str
    prefix: str
    delay: timedelta
    at_most: int
    retried_after: timedelta


@dataclass
class Index:
    """Everything an app registers, by kind; orchestrators and activities under the names they are called by."""

    routes: list[Route[Function]] = field(default_factory=list[Route[Function]])
    orchestrators: dict[str, Callable[..., str]] = field(default_factory=dict[str, Callable[..., str]])
    activities: dict[str, Function] = field(default_factory=dict[str, Function])
    timers: list[Timed] = field(default_factory=list[Timed])
    feeds: list[Fed] = field(default_factory=list[Fed])


def load(app_dir: Path) -> FunctionRegister:
    """Import `function_app` from `app_dir` as the worker does, and return its one app.

    Raises:
        RefusedError: there is none, or more than one.
    """
    if not (app_dir / "function_app.py").is_file():
        raise RefusedError(f"there is no function_app.py in {app_dir.resolve()}; name its folder with --app-dir")
    sys.path.insert(0, str(app_dir.resolve()))
    module = importlib.import_module("function_app")
    apps = {id(each): each for each in vars(module).values() if isinstance(each, FunctionRegister)}
    if len(apps) != 1:
        raise RefusedError(f"function_app.py defines {len(apps)} function apps at its top level; it must define one")
    return next(iter(apps.values()))


def index_app(app: FunctionRegister, prefix: str) -> Index:
    """Read `app`, whose `get_functions` allows this only once.

    Raises:
        RefusedError: the Azure worker or host would refuse the app, or it needs what this host does not serve.
    """
    try:
        registered = app.get_functions()
    except ValueError as error:  # what the SDK itself refuses: a name used twice, a function without a trigger
        raise RefusedError(str(error)) from error
    found = Index()
    for each in registered:
        bindings = each.get_bindings()
        check(str(each.get_function_name()), each.get_user_function(), bindings, prefix)
        trigger = each.get_trigger()
        clients = tuple(binding.name for binding in bindings if binding.type == "durableClient")
        call = each.get_user_function()
        function = Function(
            name=str(each.get_function_name()),
            call=call,
            is_async=inspect.iscoroutinefunction(call),
            trigger=_described(trigger)["name"],
            clients=clients,
        )
        if _described(trigger)["type"] == "cosmosDBTrigger":
            found.feeds.append(_fed(function, _described(trigger), _retries(each)))
        else:
            _add(found, function, _described(trigger), prefix)
    return found


def _retries(function: Any) -> dict[str, Any]:
    return function.get_settings_dict("retry_policy") or {}


def _described(trigger: Any) -> dict[str, Any]:
    return trigger.get_dict_repr()


def _add(found: Index, function: Function, trigger: dict[str, Any], prefix: str) -> None:
    match trigger["type"]:
        case "orchestrationTrigger":
            found.orchestrators[trigger.get("orchestration") or function.name] = function.call
        case "activityTrigger":
            found.activities[trigger.get("activity") or function.name] = function
        case "timerTrigger":
            found.timers.append(Timed(function, trigger["schedule"], bool(trigger.get("runOnStartup"))))
        case _:
            methods = frozenset(str(each) for each in trigger.get("methods") or ())
            path = "/".join(part.strip("/") for part in (prefix, trigger.get("route") or function.name) if part)
            try:
                found.routes.append(Route(path, methods, function))
            except RouteError as error:
                raise RefusedError(f"function {function.name}: {error}") from error


def _fed(function: Function, trigger: dict[str, Any], retries: dict[str, Any]) -> Fed:
    """A function with a Cosmos DB trigger; how often it is called again is for the host to know, and no binding's."""
    if retries.get("max_retry_count") != "-1":
        raise RefusedError(
            f"function {function.name}: without a retry policy that never ends changes are lost when it fails"
        )
    if not trigger.get("startFromBeginning"):
        raise RefusedError(f"local host gives changes from the beginning only (function {function.name})")
    hours, minutes, seconds = map(int, (retries.get("minimum_interval") or retries["delay_interval"]).split(":"))
    return Fed(
        function=function,
        connection=trigger["connection"],
        database=trigger["databaseName"],
        container=trigger["containerName"],
        leases=trigger.get("leaseContainerName") or "leases",
        prefix=trigger.get("leaseContainerPrefix") or "",
        delay=timedelta(milliseconds=trigger.get("feedPollDelay") or 5000),
        at_most=trigger.get("maxItemsPerInvocation") or 100,
        retried_after=timedelta(hours=hours, minutes=minutes, seconds=seconds),
    )
