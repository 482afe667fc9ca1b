"""The function app: registers every blueprint, nothing else."""

import azure.durable_functions as df
import azure.functions as func

from changes import blueprint as changes
from changes import fanout as telling_signalr
from orchestrations.blueprint import bp as orchestrations
from shared.api import (
    agents,
    events,
    fanout,
    flat_events,
    health,
    messages,
    project_sessions,
    projects,
    queue,
    reference,
    rooms,
    sessions,
    tool_calls,
)
from shared.settings import settings

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for blueprint in (
    orchestrations,
    sessions.bp,
    messages.bp,
    tool_calls.bp,
    queue.bp,
    agents.bp,
    events.bp,
    flat_events.bp,
    projects.bp,
    project_sessions.bp,
    rooms.bp,
    fanout.bp,
    health.bp,
    reference.bp,
):
    app.register_functions(blueprint)
if settings().cosmos_endpoint is not None:  # there is no change feed without Cosmos DB
    app.register_functions(changes.bp)
if settings().signalr_endpoint is not None:
    app.register_functions(telling_signalr.bp)
