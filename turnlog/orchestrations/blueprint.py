"""Every durable function by name: the index of this folder."""

import azure.durable_functions as df
import azure.functions as func

from turnlog.orchestrations.activities import (
    call_model,
    delete_sessions,
    finish_turn,
    park_turn,
    run_tool,
    send_webhook,
)
from turnlog.orchestrations.deliver_webhook import deliver_webhook
from turnlog.orchestrations.run_deletion import run_deletion
from turnlog.orchestrations.run_turn import run_turn
from turnlog.orchestrations.timers import clear, purge, sweep
from turnlog.settings import settings

bp = df.Blueprint()

bp.orchestration_trigger(context_name="context")(run_turn)
bp.orchestration_trigger(context_name="context")(run_deletion)
bp.orchestration_trigger(context_name="context")(deliver_webhook)

# An activity's input is annotated `Any`: with `dict[str, Any]` the worker finds no type and indexes nothing.
bp.activity_trigger(input_name="work")(call_model)
bp.activity_trigger(input_name="work")(run_tool)
bp.activity_trigger(input_name="work")(bp.durable_client_input(client_name="client")(park_turn))
bp.activity_trigger(input_name="work")(bp.durable_client_input(client_name="client")(finish_turn))
bp.activity_trigger(input_name="work")(bp.durable_client_input(client_name="client")(delete_sessions))
bp.activity_trigger(input_name="work")(send_webhook)


@bp.timer_trigger(arg_name="timer", schedule=settings().sweep_schedule, run_on_startup=True)
@bp.durable_client_input(client_name="client")
async def sweep_turns(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:  # noqa: ARG001
    """Repair what was interrupted when a process was killed."""
    await sweep(client)


@bp.timer_trigger(arg_name="timer", schedule=settings().timings.clear_schedule)
@bp.durable_client_input(client_name="client")
async def clear_deleted(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:  # noqa: ARG001
    """Remove what is left of deleted sessions."""
    await clear(client)


@bp.timer_trigger(arg_name="timer", schedule="0 17 * * * *")
@bp.durable_client_input(client_name="client")
async def purge_instances(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:  # noqa: ARG001
    """Delete the histories of instances that ended long ago."""
    await purge(client)
