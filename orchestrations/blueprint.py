"""Every durable function by name: the index of this folder."""

import azure.durable_functions as df
import azure.functions as func

from orchestrations.call_model import call_model
from orchestrations.finish_turn import finish_turn
from orchestrations.look import look
from orchestrations.park_turn import park_turn
from orchestrations.purge import purge
from orchestrations.run_tool import run_tool
from orchestrations.run_turn import run_turn
from orchestrations.sweep import sweep
from shared.settings import settings

bp = df.Blueprint()

bp.orchestration_trigger(context_name="context")(run_turn)

# An activity's input is annotated `Any`: the worker does not take `dict[str, Any]` for a type, and indexes nothing.
bp.activity_trigger(input_name="work")(call_model)
bp.activity_trigger(input_name="work")(run_tool)
bp.activity_trigger(input_name="work")(park_turn)
bp.activity_trigger(input_name="work")(bp.durable_client_input(client_name="client")(finish_turn))
bp.activity_trigger(input_name="looks")(look)


@bp.timer_trigger(arg_name="timer", schedule=settings().timings.sweep_schedule, run_on_startup=True)
@bp.durable_client_input(client_name="client")
async def sweep_turns(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:  # noqa: ARG001
    """Repair what died between two lines."""
    await sweep(client)


@bp.timer_trigger(arg_name="timer", schedule="0 17 * * * *")
@bp.durable_client_input(client_name="client")
async def purge_instances(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:  # noqa: ARG001
    """Forget the instances of turns that ended long ago."""
    await purge(client)
