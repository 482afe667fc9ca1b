"""Apps that the Azure worker, its host or this one would not run are refused by name and reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import azure.durable_functions as df
import azure.functions as func
import pytest
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

from changes.blueprint import change_feed_functions
from local.errors import RefusedError
from local.host.index import index_app, load
from shared.settings import settings


def new_app() -> df.DFApp:
    return df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def old_request(app: Any) -> None:
    @app.route("old")
    async def old(req: func.HttpRequest) -> Response: ...


def old_response(app: Any) -> None:
    @app.route("old")
    async def old(req: Request) -> func.HttpResponse: ...


def union_response(app: Any) -> None:
    @app.route("two")
    async def two(req: Request) -> JSONResponse | StreamingResponse: ...


def shadowed(app: Any) -> None:
    @app.route("/Docs")
    async def docs(req: Request) -> Response: ...


def reserved(app: Any) -> None:
    @app.route("admin/users")
    async def users(req: Request) -> Response: ...


def unknown_constraint(app: Any) -> None:
    @app.route("x/{id:datetime}")
    async def dated(req: Request) -> Response: ...


def data_parameter(app: Any) -> None:
    @app.activity_trigger(input_name="data")
    async def work(data: dict[str, Any]) -> None: ...


def sync_client(app: Any) -> None:
    @app.route("sync")
    @app.durable_client_input(client_name="client")
    def sync(req: Request, client: df.DurableOrchestrationClient) -> Response: ...


def other_hub(app: Any) -> None:
    @app.route("hub")
    @app.durable_client_input(client_name="client", task_hub="another")
    async def hub(req: Request, client: df.DurableOrchestrationClient) -> Response: ...


def unbound_parameter(app: Any) -> None:
    @app.route("more")
    async def more(req: Request, more: str) -> Response: ...


def unnamed_binding(app: Any) -> None:
    @app.route("less")
    @app.durable_client_input(client_name="client")
    async def less(req: Request) -> Response: ...


def context_parameter(app: Any) -> None:
    @app.route("where")
    async def where(req: Request, context: func.Context) -> Response: ...


def other_context_name(app: Any) -> None:
    @app.orchestration_trigger(context_name="ctx")
    def orchestrate(ctx: df.DurableOrchestrationContext) -> Any: ...


def wrong_timer(app: Any) -> None:
    @app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
    async def tick(timer: int) -> None: ...


def entity(app: Any) -> None:
    @app.entity_trigger(context_name="context")
    def counter(context: df.DurableEntityContext) -> None: ...


def queue(app: Any) -> None:
    @app.queue_trigger(arg_name="message", queue_name="q", connection="c")
    async def read(message: func.QueueMessage) -> None: ...


def signalr_binding(app: Any) -> None:
    app.register_functions(change_feed_functions(settings().model_copy(update={"signalr_endpoint": "http://signalr"})))


def twice(app: Any) -> None:
    for path in ("a", "b"):

        @app.function_name("same")
        @app.route(path)
        async def same(req: Request) -> Response: ...


def private_name(app: Any) -> None:
    @app.route("private")
    async def _private(req: Request) -> Response: ...  # pyright: ignore[reportUnusedFunction]


def unreadable(app: Any) -> None:
    @app.route("forward")
    async def forward(req: Any) -> Response: ...

    forward._function.get_user_function().__annotations__["req"] = "Missing"


@pytest.mark.parametrize(
    ("register", "reason"),
    [
        (old_request, "function old: the annotation of req is .*HttpRequest.*must be azurefunctions"),
        (old_response, "function old: it is annotated to return .*HttpResponse"),
        (union_response, "function two: it is annotated to return .*one Response class"),
        (shadowed, "function docs: .*FastAPI app answers at /docs"),
        (reserved, "function users: the host keeps routes that begin with admin or runtime"),
        (unknown_constraint, "function dated: .*route constraint 'datetime'"),
        (data_parameter, "function work: an activity's parameter must not be named `data`"),
        (sync_client, "function sync: .*must be `async def`"),
        (other_hub, "function hub: local host serves one task hub"),
        (unbound_parameter, "function more: parameters without a binding: more"),
        (unnamed_binding, "function less: bindings without a parameter: client"),
        (context_parameter, "function where: local host does not serve the parameter `context`"),
        (other_context_name, "function orchestrate: bindings without a parameter: ctx"),
        (wrong_timer, "function tick: the annotation of timer is"),
        (entity, r"local host does not serve entityTrigger \(function counter\)"),
        (signalr_binding, r"local host does not serve signalR \(function send_to_signalr\)"),
        (queue, r"local host does not serve queueTrigger \(function read\)"),
        (twice, "Function same does not have a unique function name"),
        (private_name, "function _private: the host takes names of"),
        (unreadable, "function forward: its annotations cannot be read: .*Missing"),
    ],
)
def test_an_app_that_would_not_run_is_refused(register: Callable[[Any], None], reason: str) -> None:
    app = new_app()
    register(app)

    with pytest.raises(RefusedError, match=reason):
        index_app(app, "")


def test_a_shadowed_name_under_a_prefix_is_free() -> None:
    app = new_app()
    shadowed(app)

    found = index_app(app, "api")

    assert [route.template for route in found.routes] == ["api/Docs"]


def test_functions_are_found_by_kind_under_the_names_they_are_called_by() -> None:
    app, blueprint = new_app(), cast("Any", df.Blueprint())

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

    found = index_app(app, "")

    assert list(found.orchestrators) == ["turn"]
    assert {name: (each.trigger, each.clients) for name, each in found.activities.items()} == {
        "work": ("given", ("client",))
    }
    assert [(each.function.name, each.run_on_startup) for each in found.timers] == [("tick", True)]
    assert [(each.template, each.methods) for each in found.routes] == [("unrouted", {"GET", "POST"})]


def test_a_folder_without_an_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"no function_app\.py in"):
        load(tmp_path)
