"""Checks that the services that push and the app know each other: settings, roles, keys, and the hub of Socket.IO."""

from collections.abc import Iterator, Mapping
from typing import Any

from tree_sitter import Node

from tests.infra.bicep_parser import Declaration, Expression, Template, members, text_of
from tests.infra.code_checks import app_settings, role_of
from tests.infra.facts.api_versions import VERSIONS
from turnlog.api.description.operations import operations
from turnlog.api.resources import RESOURCES
from turnlog.push_settings import PushSettings

Files = Mapping[str, Template]
"""Every template by its file name without the extension."""

# By parameter, which is also the file's name and what its settings begin with: the kind of the service, and the role
# that its data plane requires (learn.microsoft.com/azure/azure-web-pubsub, howto-authorize-from-managed-identity).
SERVICES = {
    "signalr": ("SignalR", "signalrServiceOwner"),
    "socketio": ("SocketIO", "webPubSubServiceOwner"),
    "websocket": ("WebPubSub", "webPubSubServiceOwner"),
}
_HUB = {"serviceName": "socketioService!.outputs.name", "socketioHub": "socketioHub", "appUrl": "app.outputs.url"}


def unset_settings(files: Files) -> list[str]:
    """Settings of the app without a default that the templates don't set."""
    needed = {name.upper() for name, field in PushSettings.model_fields.items() if not field.default}
    return [f"{name} is not set" for name in sorted(needed - app_settings(files).keys())]


def crossed_services(files: Files) -> list[str]:
    """Services that their parameter does not turn on and off, and settings with the address of another one."""
    main, settings, found = files["main"], app_settings(files), list[str]()
    given = members(members(main.modules["app"].body)["params"])
    for name in SERVICES:
        module = main.modules[f"{name}Service"]
        if module.kind != f"modules/{name}.bicep" or _condition(module) != f"({name} != 'none')":
            found.append(f"{name}Service is not what {name} turns on")
        if settings.get(f"{name.upper()}_ENDPOINT") != Expression(f"{name}Endpoint"):
            found.append(f"{name.upper()}_ENDPOINT is not {name}Endpoint")
        found += _not_of(name, "endpoint", given[f"{name}Endpoint"])
    return found


def _not_of(name: str, output: str, value: Node) -> Iterator[str]:
    if text_of(value) != f"{name} == 'none' ? '' : {name}Service!.outputs.{output}":
        yield f"{text_of(value)} is not the {output} of {name}Service"


def _condition(module: Declaration) -> str:
    """The condition of a module with its parentheses, empty without one."""
    around = module.body.parent
    assert around is not None
    return text_of(around).partition("{")[0].partition("if ")[2].strip()


def wrong_services(files: Files) -> list[str]:
    """Services of another kind, and those that the app has no role on."""
    found: list[str] = []
    for name, (kind, role) in SERVICES.items():
        file = files[name]
        if file.value(file.resources["service"].body)["kind"] != kind:
            found.append(f"{name} is not of the kind {kind}")
        if not any(_assigns(file, each, role) for each in file.resources.values()):
            found.append(f"{name} does not give {role} to the app")
    return found


def _assigns(file: Template, resource: Declaration, role: str) -> bool:
    if "roleAssignments@" not in resource.kind or resource.conditional:
        return False
    body = members(resource.body)
    principal, scope = text_of(members(body["properties"])["principalId"]), text_of(body["scope"])
    return role in role_of(file, resource) and (principal, scope) == ("principalId", "service")


def wrong_keys(files: Files) -> list[str]:
    """Keys that are not both keys of the service for Socket.IO."""
    app, found = files["app"], list[str]()
    version = VERSIONS["Microsoft.SignalRService/webPubSub"].used
    if text_of(app.variables["socketioKeys"]) != f"listKeys(socketioId, '{version}')":
        found.append("socketioKeys are not the keys of the service")
    keys = app_settings(files).get("SOCKETIO_ACCESS_KEYS")
    if keys != Expression("'${socketioKeys.primaryKey},${socketioKeys.secondaryKey}'"):
        found.append("SOCKETIO_ACCESS_KEYS are not both keys")
    given = members(members(files["main"].modules["app"].body)["params"])
    return [*found, *_not_of("socketio", "id", given["socketioId"])]


def wrong_hubs(files: Files) -> list[str]:
    """What the hub of Socket.IO needs, so that each socket that connects, joins or leaves is reported to the app."""
    main, file, found = files["main"], files["hub"], list[str]()
    hub, module = file.resources["hub"], main.modules["hub"]
    if {key: text_of(value) for key, value in members(members(module.body)["params"]).items()} != _HUB:
        found.append("the hub gets another service, name or URL")
    if _condition(module) != "(socketio != 'none')":
        found.append("the hub is not created with its service")
    body: dict[str, Any] = file.value(hub.body)
    if (body["parent"], body["name"]) != (Expression("service"), Expression("socketioHub")):
        found.append("the hub has another name")
    if app_settings(files).get("SOCKETIO_HUB") != Expression("socketioHub"):
        found.append("SOCKETIO_HUB is not the hub")
    return found + _wrong_handlers(body["properties"].get("eventHandlers", []))


def _wrong_handlers(handlers: list[dict[str, Any]]) -> list[str]:
    if len(handlers) != 1:
        return ["the hub does not have one handler"]
    handler, found = handlers[0], list[str]()
    before, _, path = str(getattr(handler.get("urlTemplate"), "text", "")).strip("'").partition("}")
    methods = {each.method for each in operations(RESOURCES) if each.path == path and each.tag == "socketio"}
    if before != "${appUrl" or methods != {"OPTIONS", "POST"}:
        found.append("the app has no route that takes the events")
    if handler.get("systemEvents") != ["connect"]:
        found.append("the app is not asked about the sockets that connect, or also about others")
    if handler.get("userEventPattern") != "*":
        found.append("the app does not get all events of the users")
    return found
