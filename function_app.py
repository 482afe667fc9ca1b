"""The function app: registers every blueprint, nothing else."""

import azure.durable_functions as df
import azure.functions as func

from orchestrations.blueprint import bp as orchestrations
from shared.api import events, flat_events, health, messages, queue, reference, rooms, sessions

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for blueprint in (
    orchestrations,
    sessions.bp,
    messages.bp,
    queue.bp,
    events.bp,
    flat_events.bp,
    rooms.bp,
    health.bp,
    reference.bp,
):
    app.register_functions(blueprint)
