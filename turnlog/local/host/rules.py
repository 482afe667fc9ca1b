"""Refuses an app that the Azure worker would not index, that its host would break, or that needs more than this host.

An app that starts here must start on Azure. So each rule is one of the real worker's (`azure_functions_runtime`), one
that was measured on the real host, or a limit of this host. Each refusal names the function and the reason.
"""

import inspect
import re
import typing
from collections.abc import Callable
from typing import Any

import azure.functions as func
from azurefunctions.extensions.base import HttpV2FeatureChecker, RequestTrackerMeta, ResponseTrackerMeta
from croniter import croniter

from turnlog.local.errors import RefusedError

_SERVED = {
    "httpTrigger",
    "http",
    "durableClient",
    "orchestrationTrigger",
    "activityTrigger",
    "timerTrigger",
    "cosmosDBTrigger",
}
_SHADOWED = {"openapi.json", "docs", "redoc"}
_RESERVED = ("admin", "runtime")
_NAME = re.compile(r"(?!host$)[a-z][a-z0-9_-]{0,127}", re.IGNORECASE)

_Refuse = Callable[[str], typing.NoReturn]


def check(name: str, call: Callable[..., Any], bindings: list[Any], prefix: str) -> None:
    """Check the function `name`.

    Raises:
        RefusedError: the function would not run here, or not on Azure.
    """

    def refuse(reason: str) -> typing.NoReturn:
        raise RefusedError(f"function {name}: {reason}")

    for binding in bindings:
        if binding.type not in _SERVED:
            raise RefusedError(f"local host does not serve {binding.type} (function {name})")
    if not _NAME.fullmatch(name):
        refuse("the host takes names of 1 to 128 letters, digits, _ and -, a letter first, and not `host`")
    annotations = _read_annotations(call, refuse)
    inputs: dict[str, Any] = {each.name: each for each in bindings if each.name != "$return"}
    _check_parameters(call, inputs, refuse)
    for binding in inputs.values():
        _check_annotation(binding, annotations.get(binding.name, inspect.Parameter.empty), refuse)
    clients = [binding for binding in inputs.values() if binding.type == "durableClient"]
    if any(client.task_hub or client.connection_name for client in clients):
        refuse("local host serves one task hub: the durable client must not name one")
    trigger = next(each for each in bindings if each.type.endswith("Trigger"))
    # The SDK's middleware for a durable client is always `async def` and awaits the function that it wraps.
    wrapped = getattr(call, "client_function", call)
    if trigger.type != "orchestrationTrigger" and not inspect.iscoroutinefunction(wrapped):
        refuse("local host serves functions that are `async def`")
    if trigger.type == "httpTrigger":
        _check_http(trigger.route or name, annotations, prefix, refuse)
    elif trigger.type == "timerTrigger":
        _check_schedule(trigger.schedule, refuse)


def _read_annotations(call: Callable[..., Any], refuse: _Refuse) -> dict[str, Any]:
    try:
        return typing.get_type_hints(call)
    except Exception as error:  # noqa: BLE001 - evaluating a written annotation can raise anything
        refuse(f"its annotations cannot be read: {error}")


def _check_parameters(call: Callable[..., Any], inputs: dict[str, Any], refuse: _Refuse) -> None:
    parameters = set(inspect.signature(call).parameters)
    if extra := set(inputs) - parameters:
        refuse(f"bindings without a parameter: {', '.join(sorted(extra))}")
    if "context" in parameters - set(inputs):
        refuse("local host does not serve the parameter `context`")
    if missing := parameters - set(inputs):
        refuse(f"parameters without a binding: {', '.join(sorted(missing))}")
    if any(binding.type == "activityTrigger" and binding.name == "data" for binding in inputs.values()):
        refuse("an activity's parameter must not be named `data`: the real host does not index it")


def _check_annotation(binding: Any, annotation: Any, refuse: _Refuse) -> None:
    if annotation is inspect.Parameter.empty:
        return
    if binding.type == "httpTrigger":
        fits = RequestTrackerMeta.check_type(annotation)
        wanted = "azurefunctions.extensions.http.fastapi.Request"
    else:
        if not isinstance(annotation, type):  # `dict[str, Any]` is not one either, and the worker then indexes nothing
            refuse(f"the annotation of {binding.name} is not a type: {annotation}")
        converter: Any = func.get_binding_registry().get(binding.type)
        fits = converter.check_input_type_annotation(annotation)
        wanted = f"a type that {binding.type} can fill"
    if not fits:
        refuse(f"the annotation of {binding.name} is {annotation}; it must be {wanted}")


def _check_http(route: str, annotations: dict[str, Any], prefix: str, refuse: _Refuse) -> None:
    if not HttpV2FeatureChecker.http_v2_enabled():
        refuse("local host serves HTTP functions of apps that import azurefunctions.extensions.http.fastapi only")
    path = "/".join(part.strip("/").lower() for part in (prefix, route) if part)
    if path in _SHADOWED:
        refuse(f"the worker's own FastAPI app answers at /{path}; this function would never run there")
    if route.strip("/").lower().startswith(_RESERVED):
        refuse(f"the host keeps routes that begin with {' or '.join(_RESERVED)} for itself")
    if "return" in annotations and not (
        isinstance(annotations["return"], type) and ResponseTrackerMeta.check_type(annotations["return"])
    ):
        refuse(f"it is annotated to return {annotations['return']}; an HTTP function returns one Response class")


def _check_schedule(schedule: str, refuse: _Refuse) -> None:
    if len(schedule.split()) != 6 or not croniter.is_valid(schedule, second_at_beginning=True):
        refuse(f"local host serves schedules in NCRONTAB with six fields, seconds first, not {schedule!r}")
