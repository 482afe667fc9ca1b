"""The function app: registers every blueprint, and prepares the process."""

import azure.durable_functions as df
import azure.functions as func

from changes import blueprint as changes
from changes import fanout as telling_signalr
from orchestrations.blueprint import bp as orchestrations
from shared.api.description.operations import RESOURCES
from shared.settings import settings
from shared.startup import start_up

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for blueprint in (orchestrations, *(module.bp for module in RESOURCES)):
    app.register_functions(blueprint)
if settings().cosmos_endpoint is not None:  # there is no change feed without Cosmos DB
    app.register_functions(changes.bp)
if settings().signalr_endpoint is not None:
    app.register_functions(telling_signalr.bp)

start_up()
