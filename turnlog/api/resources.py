"""The resources that the app serves over HTTP, and their description. Add a new resource here."""

from types import ModuleType
from typing import Any

from turnlog.api import (
    ag_ui,
    agents,
    console,
    events,
    flat_events,
    health,
    messages,
    project_sessions,
    projects,
    reference,
    rooms,
    sessions,
    signalr,
    socketio,
    tickets,
    tool_calls,
    websocket,
)
from turnlog.api.description import openapi

RESOURCES: tuple[ModuleType, ...] = (
    sessions,
    signalr,
    messages,
    tool_calls,
    ag_ui,
    events,
    flat_events,
    projects,
    project_sessions,
    rooms,
    tickets,
    socketio,
    websocket,
    agents,
    health,
    reference,
    console,
)
"""Each module has a blueprint, `bp`. The description lists them in this order."""


def document() -> dict[str, Any]:
    """The description of all resources in OpenAPI 3.1."""
    return openapi.document(RESOURCES)


reference.serve(document)
