"""HTTP functions of tool calls: read one, approve or deny one, send the result of one that the client ran."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.parameters import IDEMPOTENCY_KEY, LOCATION, REPLAYED
from turnlog.api.edge.principal import caller_of
from turnlog.api.edge.requests import idempotency_key, parse, public_id_of, read_bytes, session_id_of
from turnlog.api.edge.responses import ok, replay_header, stream_location
from turnlog.api.shapes.tool_calls import Approval, ClientResult, DecisionReceipt, ToolCallResult, required_actions
from turnlog.domain.actions import Resolution, completed_outcome, denial, failed_outcome
from turnlog.domain.errors import (
    AlreadyDecidedError,
    IdempotencyKeyReusedError,
    NotWaitingError,
    SessionNotFoundError,
    ToolCallNotFoundError,
    WrongActionError,
)
from turnlog.domain.values import ActionDecision
from turnlog.scheduler import DurableTurnScheduler
from turnlog.services.turns.approvals import DecisionRequest, RecordedDecision
from turnlog.wiring import services

bp = df.Blueprint()

_REFUSALS = (
    SessionNotFoundError,
    ToolCallNotFoundError,
    AlreadyDecidedError,
    WrongActionError,
    NotWaitingError,
    IdempotencyKeyReusedError,
)


@bp.route("sessions/{session_id}/tool_calls/{call_id}", methods=["GET"])
@endpoint
@describes(Answer(200, "The tool call", ToolCallResult), refuses=(SessionNotFoundError, ToolCallNotFoundError))
async def get_tool_call(req: Request) -> Response:
    """Read a tool call with its whole response, also one that is too large for an event."""
    caller = caller_of(req)

    result = await services().messages.tool_result(caller.owner, session_id_of(req), req.path_params["call_id"])

    fields = result.model_dump(include={"id", "message_id", "step", "name", "arguments", "duration_ms"})
    outcome = result.outcome.model_dump()
    return ok({**fields, **outcome, "session_id": public_id_of(req), "trace_id": caller.trace_id})


@bp.route("sessions/{session_id}/tool_calls/{call_id}/approval", methods=["POST"])
@bp.durable_client_input(client_name="client")
@endpoint
@describes(
    Answer(200, "The decision is recorded", DecisionReceipt, headers=(LOCATION, REPLAYED)),
    takes=Approval,
    reads=(IDEMPOTENCY_KEY,),
    refuses=_REFUSALS,
)
async def decide_tool_call(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Approve or deny a tool call that waits. An approved call runs; of a denied one the model reads the reason."""
    body, owner = await read_bytes(req), caller_of(req).owner
    sent = parse(Approval, body)
    approval = Resolution("approve", owner, sent.reason)
    resolution = approval if sent.decision == "approve" else denial(owner, sent.reason)

    return await _resolve(req, client, body, resolution)


@bp.route("sessions/{session_id}/tool_calls/{call_id}/result", methods=["POST"])
@bp.durable_client_input(client_name="client")
@endpoint
@describes(
    Answer(200, "The result is recorded", DecisionReceipt, headers=(LOCATION, REPLAYED)),
    takes=ClientResult,
    reads=(IDEMPOTENCY_KEY,),
    refuses=_REFUSALS,
)
async def answer_tool_call(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Send the result of a tool that the client ran, or its error. The turn continues with it."""
    body = await read_bytes(req)
    sent = parse(ClientResult, body)
    outcome = completed_outcome(sent.result) if sent.error is None else failed_outcome(sent.error)

    return await _resolve(req, client, body, Resolution("result", caller_of(req).owner, outcome=outcome))


async def _resolve(
    req: Request, client: df.DurableOrchestrationClient, body: bytes, resolution: Resolution
) -> Response:
    """Record the resolution, resume the turn if it waits for nothing else, and answer what is still open."""
    caller, key = caller_of(req), idempotency_key(req, body)
    request = DecisionRequest({req.path_params["call_id"]: resolution}, caller.trace_id)
    scheduler = DurableTurnScheduler(client, services().settings)
    decided = await services().approvals.decide(caller.owner, session_id_of(req), request, scheduler, key)
    return _receipt(req, decided, resolution.decision)


def _receipt(req: Request, decided: RecordedDecision, decision: ActionDecision) -> Response:
    session_id = public_id_of(req)
    body: DecisionReceipt = {
        "session_id": session_id,
        "turn_id": decided.turn_id,
        "message_id": decided.message_id,
        "call_id": req.path_params["call_id"],
        "decision": decision,
        "required_action": required_actions(decided.still_open),
        "trace_id": caller_of(req).trace_id,
    }
    headers = stream_location(session_id, decided.after) | replay_header(replayed=decided.replayed)
    return ok(body, 200, headers)
