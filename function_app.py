"""The function app: registers every blueprint, nothing else."""

import azure.durable_functions as df
import azure.functions as func

from orchestrations.blueprint import bp as orchestrations
from shared.api.operations import RESOURCES

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for blueprint in (orchestrations, *(module.bp for module in RESOURCES)):
    app.register_functions(blueprint)
