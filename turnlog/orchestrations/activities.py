"""The activities of turns and deletions. Each calls one service and translates the result into a reply."""

import logging
from contextlib import suppress
from functools import wraps
from typing import Any

import azure.durable_functions as df

from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.faults import fault_domain
from turnlog.orchestrations.contracts import (
    DeletionReply,
    DeletionWork,
    EndReply,
    ModelReply,
    ParkReply,
    Reply,
    ToolReply,
    WebhookReply,
    Work,
)
from turnlog.orchestrations.tracing import ActivityFunction, traced_activity, traced_tool
from turnlog.scheduler import DurableDeletionScheduler, DurableTurnScheduler, WebhookStart
from turnlog.telemetry.turns import expect_first_text
from turnlog.wiring import services

_log = logging.getLogger(__name__)


def _reply_errors(activity: ActivityFunction) -> ActivityFunction:
    """Translate the errors of `activity` into replies. The orchestrator then knows a lost process from an error."""

    @wraps(activity)
    async def run(work: Any, *clients: Any, **bindings: Any) -> dict[str, Any]:
        try:
            return await activity(work, *clients, **bindings)
        except StoreUnavailableError as error:
            _log.warning("%s is interrupted, and retried later: %s", activity.__name__, error)
            return Reply[Any](outcome="unavailable").dump()
        except Exception:  # noqa: BLE001  # any error is one of the program
            if await _is_session_deleted(work):  # while the activity ran, and it has missed documents of it
                return Reply[Any](outcome="superseded").dump()
            _log.exception("%s failed", activity.__name__)
            return Reply[Any](outcome="broken").dump()

    return run  # pyright: ignore[reportReturnType]  # same signature, as @wraps says


async def _is_session_deleted(work: dict[str, Any]) -> bool:
    if "session_id" not in work:
        return False
    with suppress(StoreUnavailableError):
        state = await services().log.checkpoint(work["session_id"])
        return state is not None and state.deleted
    return False


@_reply_errors
@traced_activity
async def call_model(work: Any) -> dict[str, Any]:
    """Make one attempt at a model call.

    If it runs twice, the second execution follows the first and gives the same reply, or `superseded`.
    """
    request = Work.model_validate(work).attempt_request
    result = await services().model_calls.run(request, expect_first_text)
    return ModelReply(
        outcome=result.outcome, call_ids=list(result.call_ids), failure=result.failure, calls=result.calls or None
    ).dump()


@_reply_errors
@traced_activity
async def run_tool(work: Any) -> dict[str, Any]:
    """Make one attempt at a tool call.

    If it runs twice, the second execution follows the first.
    """
    result = await services().tool_calls.run(Work.model_validate(work).attempt_request, traced_tool)
    return ToolReply(outcome=result.outcome, failure=result.failure).dump()


@_reply_errors
@traced_activity
async def park_turn(work: Any, client: df.DurableOrchestrationClient) -> dict[str, Any]:
    """Park the turn: it waits for approvals and client tools, and needs no instance until they come.

    If it runs twice, the second execution finds the turn parked, or resumed by another instance. It announces the wait
    again, which starts no second delivery.
    """
    app, request = services(), Work.model_validate(work)
    scheduler = DurableTurnScheduler(client, app.settings)
    return ParkReply(outcome=await app.approvals.park(request.session_id, request.fence, scheduler)).dump()


@_reply_errors
@traced_activity
async def finish_turn(work: Any, client: df.DurableOrchestrationClient) -> dict[str, Any]:
    """End the turn and start the next one, or let the turn continue with a message that was put into it.

    If it runs twice, the second execution finds the turn ended, and starts the next instance and the deliveries again.
    A late execution finds that the turn has continued, and changes nothing.
    """
    app, request = services(), Work.model_validate(work)
    scheduler = DurableTurnScheduler(client, app.settings)
    end_request = request.end_request(app.clock.now())
    outcome = await app.endings.end(request.session_id, request.fence, end_request, scheduler)
    if request.failure is not None:
        code = request.failure.code
        _log.warning("turn %s failed: %s, a fault of %s", request.turn_id, code, fault_domain(code))
    return EndReply(outcome=outcome).dump()


@_reply_errors
async def delete_sessions(work: Any, client: df.DurableOrchestrationClient) -> dict[str, Any]:
    """Delete a page of the sessions of a deleted project.

    If it runs twice, the second execution deletes the next page, or finds that nothing is left or another instance
    continues.
    """
    page = DeletionWork.model_validate(work)
    outcome = await services().deletions.delete_page(
        page.project_id, page.generation, DurableDeletionScheduler(client), is_last=page.is_last
    )
    return DeletionReply(outcome=outcome).dump()


@_reply_errors
async def send_webhook(work: Any) -> dict[str, Any]:
    """Send an event to a webhook once.

    If it runs twice, the receiver gets the event twice, with the same id.
    """
    delivery = WebhookStart.model_validate(work).delivery
    return WebhookReply(outcome=await services().deliveries.attempt(delivery)).dump()
