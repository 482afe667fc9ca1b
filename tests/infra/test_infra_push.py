"""The services that push are created as the app needs them, and are known to it."""

from collections.abc import Callable

import pytest

from tests.infra import push_checks
from tests.infra.bicep_files import TEXTS, load_files, with_mistake
from tests.infra.bicep_parser import Template

HANDLER = TEXTS["hub"][TEXTS["hub"].index("    eventHandlers: [\n") : TEXTS["hub"].index("    ]\n") + len("    ]\n")]
ROLE = TEXTS["websocket"][TEXTS["websocket"].index("resource owner ") : TEXTS["websocket"].index("@description")]

Check = Callable[[dict[str, Template]], list[str]]
CHECKS: dict[Check, list[tuple[str, str, str, str]]] = {
    push_checks.unset_settings: [
        ("app", "{ WEBSOCKET_ENDPOINT: websocketEndpoint }", "{}", "WEBSOCKET_ENDPOINT is not set"),
        ("app", "SOCKETIO_ENDPOINT:", "SOCKETIO_URL:", "SOCKETIO_ENDPOINT is not set"),
        ("app", "SOCKETIO_ACCESS_KEYS:", "SOCKETIO_KEYS:", "SOCKETIO_ACCESS_KEYS is not set"),
        ("app", "SIGNALR_ENDPOINT:", "SIGNALR_URL:", "SIGNALR_ENDPOINT is not set"),
    ],
    push_checks.crossed_services: [
        ("main", "'modules/websocket.bicep'", "'modules/socketio.bicep'", "websocketService is not what"),
        ("main", "if (websocket != 'none')", "if (socketio != 'none')", "websocketService is not what"),
        ("main", "'modules/socketio.bicep' = if (socketio != 'none')", "'modules/socketio.bicep' =", "socketioService"),
        ("app", "WEBSOCKET_ENDPOINT: websocketEndpoint", "WEBSOCKET_ENDPOINT: socketioEndpoint", "is not webs"),
        ("main", "websocketService!.outputs.endpoint", "socketioService!.outputs.endpoint", "not the endpoint of webs"),
        ("main", "websocket == 'none' ?", "socketio == 'none' ?", "not the endpoint of websocketService"),
    ],
    push_checks.wrong_services: [
        ("socketio", "kind: 'SocketIO'", "kind: 'WebPubSub'", "socketio is not of the kind SocketIO"),
        ("websocket", "kind: 'WebPubSub'", "kind: 'SocketIO'", "websocket is not of the kind WebPubSub"),
        ("websocket", ROLE, "", "websocket does not give webPubSubServiceOwner to the app"),
        ("socketio", "  scope: service\n", "  scope: other\n", "socketio does not give"),
        ("socketio", "    principalId: principalId\n", "    principalId: name\n", "socketio does not give"),
        ("signalr", "roleDefinitions', signalrServiceOwner)", "roleDefinitions', name)", "signalr does not give"),
        (
            "signalr",
            "roleAssignments@2022-04-01' =",
            "roleAssignments@2022-04-01' = if (units > 1)",
            "signalr does not",
        ),
    ],
    push_checks.wrong_keys: [
        ("app", "listKeys(socketioId,", "listKeys(storageName,", "not the keys of"),
        (
            "app",
            "listKeys(socketioId, '2024-03-01')",
            "listKeys(socketioId, '2021-10-01')",
            "not the keys of the service",
        ),
        ("app", ",${socketioKeys.secondaryKey}", "", "SOCKETIO_ACCESS_KEYS are not both keys"),
        ("app", "socketioKeys.primaryKey", "socketioKeys.primaryConnectionString", "are not both keys"),
        ("main", "socketioService!.outputs.id", "cosmos.outputs.id", "is not the id of socketioService"),
    ],
    push_checks.wrong_hubs: [
        ("hub", HANDLER, "", "the hub does not have one handler"),
        ("hub", "/socketio/events", "/socketio/event", "no route that takes the events"),
        ("hub", "/socketio/events", "/socketio/negotiate", "no route that takes the events"),
        ("hub", "'${appUrl}/socketio", "'https://example.com/socketio", "no route that takes the events"),
        ("hub", "['connect']", "['connected']", "the app is not asked about the sockets that connect"),
        ("hub", "        systemEvents: ['connect']\n", "", "the app is not asked about the sockets that connect"),
        ("hub", "'*'", "'join,leave'", "the app does not get all events of the users"),
        ("hub", "  name: socketioHub\n", "  name: 'chat'\n", "the hub has another name"),
        ("app", "SOCKETIO_HUB: socketioHub", "SOCKETIO_HUB: taskHub", "SOCKETIO_HUB is not the hub"),
        ("app", "      SOCKETIO_HUB: socketioHub\n", "", "SOCKETIO_HUB is not the hub"),
        (
            "main",
            "appUrl: app.outputs.url",
            "appUrl: socketioService!.outputs.endpoint",
            "another service, name or URL",
        ),
        (
            "main",
            "    socketioHub: socketioHub\n    appUrl",
            "    socketioHub: taskHub\n    appUrl",
            "another service, name",
        ),
        (
            "main",
            "'modules/hub.bicep' = if (socketio != 'none')",
            "'modules/hub.bicep' =",
            "not created with its service",
        ),
    ],
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_check_finds_nothing(check: Check) -> None:
    assert check(load_files()) == []


@pytest.mark.parametrize(
    ("check", "name", "old", "new", "finding"),
    [(check, *mistake) for check, found in CHECKS.items() for mistake in found],
)
def test_a_mistake_is_found(check: Check, name: str, old: str, new: str, finding: str) -> None:
    assert any(finding in problem for problem in check(with_mistake(name, old, new)))
