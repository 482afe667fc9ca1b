"""HTTP functions for whoever watches over the service: alive, and ready to work."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.api.description.describes import Answer, describes
from shared.api.edge.principal import trace_id_of
from shared.api.edge.responses import ok
from shared.api.shapes.receipts import Health, Readiness
from shared.domain.errors import TurnlogError
from shared.wiring import services

bp = df.Blueprint()

_PATIENCE_SECONDS = 5.0


@bp.route("health", methods=["GET"])
@describes(Answer(200, "It does", Health), is_open=True)
async def get_health(req: Request) -> Response:
    """The process answers."""
    return _told({"status": "ok"}, req)


@bp.route("ready", methods=["GET"])
@bp.durable_client_input(client_name="client")
@describes(Answer(200, "All answer", Readiness), Answer(503, "Some don't", Readiness), is_open=True)
async def get_ready(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Store, task hub and model answer: 200, or 503 naming what doesn't."""
    on = services()
    model = await on.model()
    checks = {"store": on.log.check(), "task_hub": client.get_status("ready"), "model": model.check()}
    results = await asyncio.gather(*(_state_of(check) for check in checks.values()))
    ready = all(result == "ok" for result in results)
    body = {"status": "ready" if ready else "not_ready", "checks": dict(zip(checks, results, strict=True))}
    return _told(body, req, 200 if ready else 503)


def _told(body: dict[str, Any], req: Request, status: int = 200) -> Response:
    # No @endpoint: whoever watches needs no account.
    trace_id = trace_id_of(req)
    return ok(body | {"trace_id": trace_id}, status, {"x-trace-id": trace_id})


async def _state_of(check: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await check
    except TimeoutError:
        return f"no answer within {_PATIENCE_SECONDS:.0f} s"
    except TurnlogError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # the Durable client raises bare ones; to be told is what this is for
        return f"{type(error).__name__}: {error}"
    return "ok"
