"""HTTP functions for monitors: whether the process is alive, and whether the service is ready to work."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.api.description.describes import Answer, describes
from shared.api.edge.principal import trace_id_of
from shared.api.edge.responses import ok
from shared.api.shapes.health import Health, Readiness
from shared.domain.errors import TurnlogError
from shared.wiring import services

bp = df.Blueprint()

_TIMEOUT_SECONDS = 5.0


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
    """Check that the store, the task hub and the model server answer."""
    app = services()
    model = await app.model()
    checks = {"store": app.log.check(), "task_hub": client.get_status("ready"), "model": model.check()}

    results = await asyncio.gather(*(_result_of(check) for check in checks.values()))

    ready = all(result == "ok" for result in results)
    body = {"status": "ready" if ready else "not_ready", "checks": dict(zip(checks, results, strict=True))}
    return _answer(body, req, 200 if ready else 503)


def _answer(body: dict[str, Any], req: Request, status: int = 200) -> Response:
    # Without @endpoint: a monitor needs no account.
    trace_id = trace_id_of(req)
    return ok(body | {"trace_id": trace_id}, status, {"x-trace-id": trace_id})


async def _result_of(check: Awaitable[object]) -> str:
    """Return `ok`, or the reason why the check failed."""
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await check
    except TimeoutError:
        return f"no answer within {_TIMEOUT_SECONDS:.0f} s"
    except TurnlogError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # the Durable client raises bare ones; every reason is to be reported
        return f"{type(error).__name__}: {error}"
    return "ok"
