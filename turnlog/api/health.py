"""HTTP functions for monitors: whether the process is alive, and whether the service is ready to work."""

from typing import Any

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import Answer, describes
from turnlog.api.edge.principal import trace_id_of
from turnlog.api.edge.responses import ok
from turnlog.api.shapes.health import Health, Readiness
from turnlog.wiring import services

bp = df.Blueprint()


@bp.route("health", methods=["GET"])
@describes(Answer(200, "The process answers", Health), is_public=True)
async def get_health(req: Request) -> Response:
    """Check that the process answers."""
    return _answer({"status": "ok"}, req)


@bp.route("ready", methods=["GET"])
@bp.durable_client_input(client_name="client")
@describes(
    Answer(200, "All of them answer", Readiness), Answer(503, "Not all of them answer", Readiness), is_public=True
)
async def get_ready(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Check that the store takes a write, and that the task hub and the model server answer.

    Anyone may ask, so the reasons are only in the log, and a result is kept for five seconds.
    """
    app = services()

    async def ask_model() -> None:
        await (await app.model()).check()

    results = await app.readiness.check(
        {"store": app.log.check, "task_hub": lambda: client.get_status("ready"), "model": ask_model}
    )

    checks = {name: "ok" if is_ok else "failed" for name, is_ok in results.items()}
    status = "ready" if all(results.values()) else "not_ready"
    return _answer({"status": status, "checks": checks}, req, 200 if status == "ready" else 503)


def _answer(body: dict[str, Any], req: Request, status: int = 200) -> Response:
    # Without @endpoint: a monitor needs no account.
    trace_id = trace_id_of(req)
    return ok(
        body | {"trace_id": trace_id},
        status,
        {"x-trace-id": trace_id, "cache-control": "no-store", "x-content-type-options": "nosniff"},
    )
