"""The local host refuses by name what the app does not use, and what the Azure worker or its host would not run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import pytest
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

from tests.local.local_host import App, running_host
from turnlog.local.errors import RefusedError
from turnlog.local.host.index import index_app, load
from turnlog.local.host.options import options_of

Register = Callable[[Any], None]


def route(template: str) -> Register:
    def register(app: Any) -> None:
        @app.route(template)
        async def routed(req: Request) -> Response: ...

    return register


def old_request(app: Any) -> None:
    @app.route("old")
    async def old(req: func.HttpRequest) -> Response: ...


def old_response(app: Any) -> None:
    @app.route("old")
    async def old(req: Request) -> func.HttpResponse: ...


def union_response(app: Any) -> None:
    @app.route("two")
    async def two(req: Request) -> JSONResponse | StreamingResponse: ...


def data_parameter(app: Any) -> None:
    @app.activity_trigger(input_name="data")
    async def work(data: dict[str, Any]) -> None: ...


def sync_function(app: Any) -> None:
    @app.activity_trigger(input_name="given")
    def sync(given: Any) -> None: ...


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


def timer(schedule: str) -> Register:
    def register(app: Any) -> None:
        @app.timer_trigger(arg_name="timer", schedule=schedule)
        async def tick(timer: func.TimerRequest) -> None: ...

    return register


def feed(retries: dict[str, str] | None, **settings: Any) -> Register:
    names = {"connection": "ACCOUNT", "database_name": "turnlog", "container_name": "sessions"}

    def register(app: Any) -> None:
        async def follow(documents: func.DocumentList) -> None: ...

        builder = app.cosmos_db_trigger(arg_name="documents", **names, **settings)(follow)
        if retries:
            app.retry(**retries)(builder)

    return register


def entity(app: Any) -> None:
    @app.entity_trigger(context_name="context")
    def counter(context: df.DurableEntityContext) -> None: ...


def queue(app: Any) -> None:
    @app.queue_trigger(arg_name="message", queue_name="q", connection="c")
    async def read(message: func.QueueMessage) -> None: ...


def signalr(app: Any) -> None:
    output = app.generic_output_binding(arg_name="messages", type="signalR", hub_name="turnlog")

    @app.route("send")
    @output
    async def send(req: Request, messages: func.Out[str]) -> Response: ...


def same_name_twice(app: Any) -> None:
    for path in ("a", "b"):

        @app.function_name("same")
        @app.route(path)
        async def same(req: Request) -> Response: ...


def private_name(app: Any) -> None:
    @app.route("private")
    async def _private(req: Request) -> Response: ...  # pyright: ignore[reportUnusedFunction]


def unreadable_annotation(app: Any) -> None:
    @app.route("forward")
    async def forward(req: Any) -> Response: ...

    forward._function.get_user_function().__annotations__["req"] = "Missing"


ENDLESS = {
    "strategy": "exponential_backoff",
    "max_retry_count": "-1",
    "minimum_interval": "00:00:01",
    "maximum_interval": "00:00:30",
}


@pytest.mark.parametrize(
    ("register", "reason"),
    [
        (old_request, "function old: the annotation of req is .*HttpRequest.*must be azurefunctions"),
        (old_response, "function old: it is annotated to return .*HttpResponse"),
        (union_response, "function two: it is annotated to return .*one Response class"),
        (route("/Docs"), "function routed: .*FastAPI app answers at /docs"),
        (route("admin/users"), "function routed: the host keeps routes that begin with admin or runtime"),
        (route("x/{id:int}"), r"function routed: .* does not serve the route segment '\{id:int\}'"),
        (route("x/{id?}"), r"function routed: .* does not serve the route segment '\{id\?\}'"),
        (route("x/{*rest}"), r"function routed: .* does not serve the route segment '\{\*rest\}'"),
        (route("a{b}c"), r"function routed: .* does not serve the route segment 'a\{b\}c'"),
        (data_parameter, "function work: an activity's parameter must not be named `data`"),
        (sync_function, "function sync: local host serves functions that are `async def`"),
        (sync_client, "function sync: local host serves functions that are `async def`"),
        (other_hub, "function hub: local host serves one task hub"),
        (unbound_parameter, "function more: parameters without a binding: more"),
        (unnamed_binding, "function less: bindings without a parameter: client"),
        (context_parameter, "function where: local host does not serve the parameter `context`"),
        (other_context_name, "function orchestrate: bindings without a parameter: ctx"),
        (wrong_timer, "function tick: the annotation of timer is"),
        (timer("soon"), "function tick: local host serves schedules in NCRONTAB .*not 'soon'"),
        (timer("61 * * * * *"), "function tick: local host serves schedules"),
        (timer("0 5 * * *"), "function tick: local host serves schedules"),
        (timer("00:00:20"), "function tick: local host serves schedules"),
        (timer("%SWEEP_SCHEDULE%"), "function tick: local host serves schedules"),
        (feed(None, start_from_beginning=True), "function follow: .* changes are lost when the function fails"),
        (feed({**ENDLESS, "max_retry_count": "5"}, start_from_beginning=True), "function follow: .* changes are lost"),
        (feed(ENDLESS), r"local host gives changes from the beginning only \(function follow\)"),
        (entity, r"local host does not serve entityTrigger \(function counter\)"),
        (signalr, r"local host does not serve signalR \(function send\)"),
        (queue, r"local host does not serve queueTrigger \(function read\)"),
        (same_name_twice, "Function same does not have a unique function name"),
        (private_name, "function _private: the host takes names of"),
        (unreadable_annotation, "function forward: its annotations cannot be read: .*Missing"),
    ],
)
def test_an_app_is_refused_at_the_start(register: Register, reason: str) -> None:
    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    register(app)

    with pytest.raises(RefusedError, match=reason):
        index_app(app, "")


def test_a_folder_without_an_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"no function_app\.py in"):
        load(tmp_path)


def test_versions_of_orchestrations_are_refused(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"extensions": {"durableTask": {"defaultVersion": "1.0"}}}')

    with pytest.raises(RefusedError, match=r"does not serve extensions\.durableTask\.defaultVersion"):
        options_of(tmp_path, None, 0, tmp_path)


ACTIONS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda context: context.call_activity_with_retry("work", df.RetryOptions(1, 3)), "call_activity_with_retry"),
    (lambda context: context.call_sub_orchestrator("main"), "call_sub_orchestrator"),
    (lambda context: context.wait_for_external_event("go"), "wait_for_external_event"),
    (lambda context: context.call_http("GET", "http://127.0.0.1"), "call_http"),
    (lambda context: context.call_entity(df.EntityId("a", "b"), "get"), "call_entity"),
    (lambda context: context.continue_as_new(None), "continue_as_new"),
    (lambda context: context.set_custom_status("busy"), "set_custom_status"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("request_action", "name"), ACTIONS)
async def test_an_action_of_an_orchestrator_fails_its_instance(
    tmp_path: Path, request_action: Callable[[Any], Any], name: str
) -> None:
    app: Any = App()

    @app.orchestration_trigger(context_name="context")
    def main(context: Any) -> Any:
        if task := request_action(context):
            yield task

    async with running_host(app, tmp_path) as host:
        status = await host.run("main")

    assert status.runtime_status.name == "Failed"
    assert status.output.startswith(f"the local host does not serve {name}: an orchestrator may use call_activity")


OPERATIONS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda client: client.start_new("main"), "start_new with a version or without an instance id"),
    (lambda client: client.start_new("main", "two", None, "1.0"), "start_new with a version or without an instance id"),
    (lambda client: client.get_status("one", show_history=True), "get_status with showHistory"),
    (lambda client: client.get_status("one", show_input=True), "get_status with showInput"),
    (lambda client: client.get_status_all(), "get_status_by"),
    (lambda client: client.purge_instance_history("one"), "purge_instance_history"),
    (lambda client: client.terminate("one", "why"), "terminate"),
    (lambda client: client.raise_event("one", "go"), "raiseEvent"),
    (lambda client: client.suspend("one", "why"), "suspend"),
    (lambda client: client.resume("one", "why"), "resume"),
    (lambda client: client.rewind("one", "why"), "rewind"),
    (lambda client: client.signal_entity(df.EntityId("a", "b"), "add"), "entities"),
    (lambda client: client.read_entity_state(df.EntityId("a", "b")), "entities"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("call", "name"), OPERATIONS)
async def test_an_operation_of_the_durable_client_fails_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, call: Callable[[Any], Any], name: str
) -> None:
    app: Any = App()

    @app.orchestration_trigger(context_name="context")
    def main(context: Any) -> Any:
        return None

    async with running_host(app, tmp_path) as host:
        await host.durable.start_new("main", "one")
        with pytest.raises(Exception):  # noqa: B017, PT011 - the SDK raises no other class
            await call(host.durable)

    assert f"does not serve the durable operation {name}:" in caplog.text
