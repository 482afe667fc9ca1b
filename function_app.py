"""The function app: registers every blueprint, and warms up where only turns will run."""

import azure.durable_functions as df
import azure.functions as func

from orchestrations.blueprint import bp as orchestrations
from shared.api.operations import RESOURCES
from shared.warming import warm_up

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for blueprint in (orchestrations, *(module.bp for module in RESOURCES)):
    app.register_functions(blueprint)

warm_up()
