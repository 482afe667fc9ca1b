"""The orchestrator that delivers one event to one webhook, with pauses between its attempts."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from turnlog.orchestrations.contracts import WebhookReply
from turnlog.scheduler import WebhookStart


def deliver_webhook(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    """Attempt the delivery, and again after each pause, until the receiver takes it or the pauses are used up.

    An attempt whose process was killed is followed by the next one: the receiver may get the event twice.
    """
    start = WebhookStart.model_validate(context.get_input())
    reply = WebhookReply(outcome="retry")
    for pause in (0.0, *start.pauses):
        if pause:
            yield context.create_timer(context.current_utc_datetime + timedelta(seconds=pause))
        try:
            sent = yield context.call_activity("send_webhook", start.dump())
        except Exception:  # noqa: BLE001, S112  # the SDK raises bare Exceptions: the activity's process was killed
            continue
        reply = WebhookReply.model_validate(sent)
        if reply.outcome in {"delivered", "dropped"}:
            break
    return reply.dump()
