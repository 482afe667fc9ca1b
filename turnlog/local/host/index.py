"""Finds the functions of an app: imports it as the worker does, and reads its bindings once."""

import importlib
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from azure.functions import FunctionRegister

from turnlog.local.errors import RefusedError
from turnlog.local.host.functions import FeedFunction, Function, Index, TimerFunction
from turnlog.local.host.routes import Route, RouteError
from turnlog.local.host.rules import check


def load(app_dir: Path) -> FunctionRegister:
    """Import `function_app` from `app_dir` as the worker does, and return its one app.

    Raises:
        RefusedError: there is no app, or more than one.
    """
    if not (app_dir / "function_app.py").is_file():
        raise RefusedError(f"there is no function_app.py in {app_dir.resolve()}; name its folder with --app-dir")
    sys.path.insert(0, str(app_dir.resolve()))
    module = importlib.import_module("function_app")
    apps = {id(each): each for each in vars(module).values() if isinstance(each, FunctionRegister)}
    if len(apps) != 1:
        raise RefusedError(f"function_app.py defines {len(apps)} function apps at its top level; it must define one")
    return next(iter(apps.values()))


def index_app(app: FunctionRegister, prefix: str, durable_client: str = "") -> Index:
    """Read `app`, whose `get_functions` allows this only once; `durable_client` is what its durable clients get.

    Raises:
        RefusedError: the Azure worker or host would refuse the app, or it needs what this host does not serve.
    """
    try:
        registered = app.get_functions()
    except ValueError as error:  # the SDK's own refusals: a name used twice, a function without a trigger
        raise RefusedError(str(error)) from error
    index = Index()
    for each in registered:
        bindings, name, body = each.get_bindings(), str(each.get_function_name()), each.get_user_function()
        check(name, body, bindings, prefix)
        settings = _settings_of(each.get_trigger())
        clients = {binding.name: durable_client for binding in bindings if binding.type == "durableClient"}
        function = Function(name, body, settings["name"], clients)
        if settings["type"] == "cosmosDBTrigger":
            index.feeds.append(_feed_function(function, settings, _retry_policy_of(each)))
        else:
            _add(index, function, settings, prefix)
    return index


def _settings_of(trigger: Any) -> dict[str, Any]:
    return trigger.get_dict_repr()


def _retry_policy_of(builder: Any) -> dict[str, Any]:
    return builder.get_settings_dict("retry_policy") or {}


def _add(index: Index, function: Function, settings: dict[str, Any], prefix: str) -> None:
    match settings["type"]:
        case "orchestrationTrigger":
            index.orchestrators[settings.get("orchestration") or function.name] = function.body
        case "activityTrigger":
            index.activities[settings.get("activity") or function.name] = function
        case "timerTrigger":
            timer = TimerFunction(function, settings["schedule"], bool(settings.get("runOnStartup")))
            index.timers.append(timer)
        case _:
            methods = frozenset(str(each) for each in settings.get("methods") or ())
            path = "/".join(part.strip("/") for part in (prefix, settings.get("route") or function.name) if part)
            try:
                index.routes.append(Route(path, methods, function))
            except RouteError as error:
                raise RefusedError(f"function {function.name}: {error}") from error


def _feed_function(function: Function, settings: dict[str, Any], retries: dict[str, Any]) -> FeedFunction:
    if retries.get("max_retry_count") != "-1" or retries.get("strategy") != "exponential_backoff":
        raise RefusedError(
            f"function {function.name}: a Cosmos DB trigger needs a retry policy with exponential_backoff that never "
            "ends: without one, changes are lost when the function fails"
        )
    if not settings.get("startFromBeginning"):
        raise RefusedError(f"local host gives changes from the beginning only (function {function.name})")
    return FeedFunction(
        function=function,
        connection=settings["connection"],
        database=settings["databaseName"],
        container=settings["containerName"],
        lease_container=settings.get("leaseContainerName") or "leases",
        lease_prefix=settings.get("leaseContainerPrefix") or "",
        poll_delay=timedelta(milliseconds=settings.get("feedPollDelay") or 5000),
        max_items=settings.get("maxItemsPerInvocation") or 100,
        retry_min=_interval(retries["minimum_interval"]),
        retry_max=_interval(retries["maximum_interval"]),
    )


def _interval(text: str) -> timedelta:
    hours, minutes, seconds = map(int, text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)
