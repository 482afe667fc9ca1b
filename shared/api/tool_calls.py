"""HTTP functions of tool calls: read one, approve or deny it, give the result of one that the client runs."""

from typing import Any, Literal

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response
from pydantic import ConfigDict, Field, JsonValue, model_validator
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from shared.api.description.describes import Answer, describes
from shared.api.edge.endpoint import endpoint
from shared.api.edge.parameters import IDEMPOTENCY_KEY, LOCATION, REPLAYED
from shared.api.edge.principal import caller
from shared.api.edge.requests import idempotency_key, parsed, read_bytes
from shared.api.edge.responses import ok
from shared.api.sessions import session_id_of
from shared.api.shapes.bodies import Body
from shared.api.shapes.receipts import ToolCallResult
from shared.api.shapes.views import RequiredAction, required_actions
from shared.domain.actions import Resolution, completed, denial, failed
from shared.domain.errors import (
    AlreadyDecidedError,
    IdempotencyKeyReusedError,
    NotWaitingError,
    SessionNotFoundError,
    ToolCallNotFoundError,
    WrongActionError,
)
from shared.domain.ids import MessageId, SessionId, TurnId
from shared.domain.values import ActionDecision
from shared.scheduler import DurableTurnScheduler
from shared.services.turns.approvals import Decided, DecisionRequest
from shared.wiring import services

bp = df.Blueprint()


class Approval(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"decision": "approve"}]})

    decision: Literal["approve", "deny"]
    reason: str | None = Field(None, max_length=1024, description="of a denial, the model is told it")


def _one_of_both(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": ["result"]}, {"required": ["error"]}]
    schema["properties"]["error"] = {"type": "string", "maxLength": 4096, "description": "why there is no result"}
    schema["examples"] = [{"result": "Ann, Ben and Cem take part."}]


class ClientResult(Body):
    """What the client's tool gave, or why it gave nothing."""

    model_config = ConfigDict(json_schema_extra=_one_of_both)

    result: JsonValue = Field(None, description="any JSON, null too")
    error: str | None = Field(None, max_length=4096)

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "ClientResult":
        if len(self.model_fields_set) != 1 or ("error" in self.model_fields_set and self.error is None):
            raise ValueError("send either result or error")
        return self


class DecisionReceipt(TypedDict):
    """`required_action` is what the turn still waits for; once it is empty, the turn goes on."""

    session_id: SessionId
    turn_id: TurnId
    message_id: MessageId
    call_id: str
    decision: ActionDecision
    required_action: list[RequiredAction]
    trace_id: str


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
    """A tool call with its whole response, where that was too large for its event."""
    who, session_id = caller(req), session_id_of(req)

    result = await services().messages.tool_result(who.owner, session_id, req.path_params["call_id"])

    fields = result.model_dump(include={"id", "message_id", "step", "name", "arguments", "duration_ms"})
    outcome = result.outcome.model_dump()
    return ok({**fields, **outcome, "session_id": session_id, "trace_id": who.trace_id})


@bp.route("sessions/{session_id}/tool_calls/{call_id}/approval", methods=["POST"])
@bp.durable_client_input(client_name="client")
@endpoint
@describes(
    Answer(200, "It is decided", DecisionReceipt, headers=(LOCATION, REPLAYED)),
    takes=Approval,
    reads=(IDEMPOTENCY_KEY,),
    refuses=_REFUSALS,
)
async def decide_tool_call(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Approve a tool call that waits, and it is run; or deny it, and the model is told so."""
    body, owner = await read_bytes(req), caller(req).owner
    command = parsed(Approval, body)
    approved = Resolution("approve", owner, command.reason)
    ruling = approved if command.decision == "approve" else denial(owner, command.reason)

    return await _decided(req, client, body, ruling)


@bp.route("sessions/{session_id}/tool_calls/{call_id}/result", methods=["POST"])
@bp.durable_client_input(client_name="client")
@endpoint
@describes(
    Answer(200, "The call is answered", DecisionReceipt, headers=(LOCATION, REPLAYED)),
    takes=ClientResult,
    reads=(IDEMPOTENCY_KEY,),
    refuses=_REFUSALS,
)
async def answer_tool_call(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Give the result of a tool that the client runs, or the error it met; the turn goes on with it."""
    body = await read_bytes(req)
    command = parsed(ClientResult, body)
    outcome = completed(command.result) if command.error is None else failed(command.error)

    return await _decided(req, client, body, Resolution("result", caller(req).owner, outcome=outcome))


async def _decided(req: Request, client: df.DurableOrchestrationClient, body: bytes, ruling: Resolution) -> Response:
    """Record the decision, let the turn go on if it was the last one, and say what is still open."""
    who, key = caller(req), idempotency_key(req, body)
    request = DecisionRequest(req.path_params["call_id"], ruling, who.trace_id)
    scheduler = DurableTurnScheduler(client, services().settings)
    decided = await services().actions.decide(who.owner, session_id_of(req), request, scheduler, key)
    return _receipt(req, decided, ruling.decision)


def _receipt(req: Request, decided: Decided, decision: ActionDecision) -> Response:
    session_id = session_id_of(req)
    body: DecisionReceipt = {
        "session_id": session_id,
        "turn_id": decided.turn_id,
        "message_id": decided.message_id,
        "call_id": req.path_params["call_id"],
        "decision": decision,
        "required_action": required_actions(decided.still_open),
        "trace_id": caller(req).trace_id,
    }
    headers = {"location": f"/sessions/{session_id}/stream?after={decided.after}"}
    headers |= {"idempotency-replayed": "true"} if decided.replayed else {}
    return ok(body, 200, headers)
