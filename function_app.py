"""The function app: registers every function, and prepares the process."""

import azure.durable_functions as df
import azure.functions as func

from turnlog.api.resources import RESOURCES
from turnlog.changes.blueprint import change_feed_functions
from turnlog.orchestrations.blueprint import bp as orchestrations
from turnlog.settings import settings
from turnlog.startup import start_up

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for blueprint in (orchestrations, *(module.bp for module in RESOURCES)):
    app.register_functions(blueprint)
if settings().cosmos_endpoint is not None:  # only Cosmos DB has a change feed
    app.register_functions(change_feed_functions(settings()))

start_up()
