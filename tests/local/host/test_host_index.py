"""The functions of an app are found by kind, under the names by which they are called."""

from typing import Any, cast

import azure.durable_functions as df
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.local.host.index import index_app


def test_functions_are_found_by_kind() -> None:
    app, blueprint = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS), cast("Any", df.Blueprint())

    @blueprint.function_name("begin")
    @blueprint.orchestration_trigger(context_name="context", orchestration="turn")
    def orchestrate(context: df.DurableOrchestrationContext) -> Any: ...

    @blueprint.activity_trigger(input_name="given", activity="work")
    @blueprint.durable_client_input(client_name="client")
    async def work_on(given: Any, client: df.DurableOrchestrationClient) -> Any: ...

    @blueprint.timer_trigger(arg_name="timer", schedule="0 * * * * *", run_on_startup=True)
    async def tick(timer: func.TimerRequest) -> None: ...

    @blueprint.route(methods=["GET", "POST"])
    async def unrouted(req: Request) -> Response: ...

    app.register_functions(blueprint)

    index = index_app(app, "", "{}")

    assert list(index.orchestrators) == ["turn"]
    assert {name: (each.trigger, each.clients) for name, each in index.activities.items()} == {
        "work": ("given", {"client": "{}"})
    }
    assert [(each.function.name, each.run_on_startup) for each in index.timers] == [("tick", True)]
    assert [(each.template, each.methods) for each in index.routes] == [("unrouted", {"GET", "POST"})]


def test_a_name_of_the_workers_own_app_is_free_under_a_prefix() -> None:
    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    @app.route("/Docs")
    async def docs(req: Request) -> Response: ...

    index = index_app(app, "api")

    assert [route.template for route in index.routes] == ["api/Docs"]
