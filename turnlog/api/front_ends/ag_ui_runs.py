"""HTTP function of AG-UI: start a run, continue one that waits, or read one again."""

import hashlib
from collections.abc import Mapping

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response
from pydantic_core import to_json

from turnlog.api.description.describes import EVENT_STREAM, Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.parameters import REPLAYED
from turnlog.api.edge.principal import Caller, caller_of
from turnlog.api.edge.requests import parse, read_bytes
from turnlog.api.edge.responses import replay_header
from turnlog.api.edge.tracing import record_posting
from turnlog.api.front_ends.ag_ui import EXAMPLE, run_stream
from turnlog.api.front_ends.ag_ui_wire import Run
from turnlog.api.shapes.ag_ui import (
    MAX_ID_LENGTH,
    ForwardedProps,
    ResolvedInterrupt,
    ResumeEntry,
    RunAgentInput,
    content_of,
    text_of,
)
from turnlog.domain.actions import Resolution, completed_outcome, denial, failed_outcome
from turnlog.domain.errors import (
    AgentNotFoundError,
    AlreadyDecidedError,
    IdempotencyKeyReusedError,
    ModelNotAllowedError,
    NotWaitingError,
    QueueFullError,
    SessionArchivedError,
    SessionDeletedError,
    SessionFullError,
    SessionNotFoundError,
    ToolCallNotFoundError,
    TurnInProgressError,
    WrongActionError,
)
from turnlog.domain.ids import PublicId, bound_id
from turnlog.scheduler import DurableTurnScheduler
from turnlog.services.log.idempotency import IdempotencyKey
from turnlog.services.runs import RunRequest
from turnlog.services.turns.submit import NewMessage
from turnlog.wiring import services

bp = df.Blueprint()

_BODY_BYTES = 4 * 1024 * 1024
"""Clients send the whole conversation with each run."""


@bp.route("ag-ui/{agent}", methods=["POST"])
@bp.durable_client_input(client_name="client")
@endpoint
@describes(
    Answer(200, "The events of the run", media_type=EVENT_STREAM, headers=(REPLAYED,), example=EXAMPLE),
    takes=RunAgentInput,
    refuses=(
        SessionNotFoundError,
        SessionDeletedError,
        SessionArchivedError,
        SessionFullError,
        TurnInProgressError,
        QueueFullError,
        AgentNotFoundError,
        ModelNotAllowedError,
        IdempotencyKeyReusedError,
        ToolCallNotFoundError,
        AlreadyDecidedError,
        WrongActionError,
        NotWaitingError,
    ),
)
async def run_agent(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Run an agent for a client that speaks AG-UI: post the newest message of the user, or the answers to interrupts.

    A session that does not exist is created. A request with the same `threadId` and `runId` reads the same turn again,
    from its start.
    """
    body = await read_bytes(req, _BODY_BYTES)
    sent, caller = parse(RunAgentInput, body), caller_of(req)
    req.state.session_id = sent.threadId
    request = _run_request(sent, caller, req.path_params["agent"])

    scheduler = DurableTurnScheduler(client, services().settings, waits=False)
    started = await services().runs.start(caller.owner, bound_id(caller.owner, sent.threadId), request, scheduler)
    record_posting(started.submission)

    run = Run(PublicId(sent.threadId), sent.runId)
    messages = [message.as_sent for message in sent.messages]
    return run_stream(run, started, messages, replay_header(replayed=started.replayed))


def _run_request(sent: RunAgentInput, caller: Caller, agent: str) -> RunRequest:
    chosen, newest = sent.forwardedProps or ForwardedProps(on_busy="enqueue"), sent.newest_of_user
    new = None
    if newest is not None:
        message_id = sent.messages[newest].id
        client_id = message_id if len(message_id) <= MAX_ID_LENGTH else None
        content = content_of(sent, newest)
        new = NewMessage(content, caller.trace_id, agent, chosen.model, chosen.on_busy, client_id=client_id)
    decisions = {entry.interruptId: _decision(entry, caller.owner) for entry in sent.resume}
    posted = [agent, None if newest is None else sent.messages[newest], chosen, *sent.resume]
    scope = f"{caller.owner}\nPOST\n/ag-ui\n{sent.threadId}\n{sent.runId}"
    key = IdempotencyKey(hashlib.sha256(scope.encode()).hexdigest(), hashlib.sha256(to_json(posted)).hexdigest())
    only_results = bool(sent.messages) and sent.messages[-1].role == "tool"
    return RunRequest(key, caller.trace_id, new, decisions, _results(sent, caller.owner), only_results)


def _decision(entry: ResumeEntry, owner: str) -> Resolution:
    if not isinstance(entry, ResolvedInterrupt):
        return denial(owner, None)
    payload = entry.payload
    return Resolution("approve", owner, payload.reason) if payload.approved else denial(owner, payload.reason)


def _results(sent: RunAgentInput, owner: str) -> Mapping[str, Resolution]:
    """The results of tools among the messages, by the ids of their calls."""
    results: dict[str, Resolution] = {}
    for message in sent.messages:
        if message.role == "tool" and message.toolCallId:
            outcome = completed_outcome(text_of(message)) if message.error is None else failed_outcome(message.error)
            results[message.toolCallId] = Resolution("result", owner, outcome=outcome)
    return results
