"""The orchestrator that delivers to a webhook, run by the SDK's own executor on the local engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.local.local_host import App, running_host
from turnlog.domain.ids import ProjectId, SessionId
from turnlog.domain.webhooks import Delivery
from turnlog.orchestrations.contracts import WebhookReply
from turnlog.orchestrations.deliver_webhook import deliver_webhook
from turnlog.scheduler import WebhookStart

pytestmark = pytest.mark.anyio

DELIVERY = Delivery(
    id="msg_1", project_id=ProjectId("prj_1"), webhook_id="whk_1", session_id=SessionId("o~s"), event="session_deleted"
)
START = WebhookStart(delivery=DELIVERY, pauses=(0.01, 0.01, 0.01)).dump()


async def _deliver(folder: Path, outcomes: Sequence[str | None]) -> tuple[str, list[Any]]:
    """Run an instance whose attempts have these outcomes, None for a killed process; its outcome and the inputs."""
    app: Any = App()
    app.function_name("main")(app.orchestration_trigger(context_name="context")(deliver_webhook))
    left, works = list(outcomes), list[Any]()

    async def send_webhook(work: Any) -> dict[str, Any]:
        works.append(work)
        if (outcome := left.pop(0)) is None:
            raise RuntimeError("the process was killed")
        return WebhookReply(outcome=outcome).dump()  # pyright: ignore[reportArgumentType]

    app.activity_trigger(input_name="work")(send_webhook)
    async with running_host(app, folder) as host:
        status = await host.run("main", START)
    assert status.runtime_status.name == "Completed"
    return status.output["outcome"], works


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["delivered"], "delivered"),
        (["dropped"], "dropped"),
        (["retry", None, "unavailable", "delivered"], "delivered"),
        (["retry", "broken", "retry", "retry"], "retry"),
        ([None, None, None, None], "retry"),
    ],
)
async def test_attempts_follow_until_one_is_taken_or_the_pauses_are_used_up(
    tmp_path: Path, outcomes: Sequence[str | None], expected: str
) -> None:
    outcome, works = await _deliver(tmp_path, outcomes)

    assert outcome == expected
    assert works == [START] * len(outcomes)
