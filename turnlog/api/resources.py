"""The resources that the app serves over HTTP, and their description. Add a new resource here."""

from types import ModuleType
from typing import Any

from turnlog.api import (
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
    tickets,
    tool_calls,
)
from turnlog.api.description import openapi
from turnlog.api.front_ends import ag_ui_runs
from turnlog.api.push import signalr, socketio, websocket

RESOURCES: tuple[ModuleType, ...] = (
    sessions,
    signalr,
    messages,
    tool_calls,
    ag_ui_runs,
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
