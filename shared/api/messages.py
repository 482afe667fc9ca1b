"""HTTP functions of messages: post one and get its answer, list them, read the model's whole responses, cancel."""

from datetime import timedelta

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.api.description.describes import EVENT_STREAM, Answer, describes
from shared.api.edge.endpoint import endpoint
from shared.api.edge.parameters import (
    IDEMPOTENCY_KEY,
    LOCATION,
    NEXT_PAGE,
    PREFER,
    PREFERENCE_APPLIED,
    REPLAYED,
    Choice,
    Integer,
    Text,
)
from shared.api.edge.principal import caller
from shared.api.edge.requests import idempotency_key, parsed, preferences, read_bytes
from shared.api.edge.responses import ok
from shared.api.edge.sse import EXAMPLE, StreamOptions, event_stream
from shared.api.edge.tracing import told_posting
from shared.api.sessions import session_id_of
from shared.api.shapes.bodies import Cancel, PostMessage
from shared.api.shapes.receipts import CancelReceipt
from shared.api.shapes.views import FullResponseView, MessageView
from shared.domain.errors import (
    AgentNotFoundError,
    IdempotencyKeyReusedError,
    MessageNotFoundError,
    ModelNotAllowedError,
    QueueFullError,
    SessionArchivedError,
    SessionFullError,
    SessionNotFoundError,
    TurnInProgressError,
)
from shared.domain.ids import MessageId
from shared.scheduler import DurableTurnScheduler
from shared.services.messages import EndOf
from shared.services.turns.cancelling import CancelRequest, StopReceipt
from shared.services.turns.submit import NewMessage, Submission
from shared.wiring import services

bp = df.Blueprint()

_LIMIT = Integer("limit", "how many at most", default=50, least=1, most=200)
_ORDER = Choice("order", "`desc`: newest first", allowed=("asc", "desc"), default="asc")
_AFTER = Text("after", "the `message_id` after which, in this order, to list")
_UNFINISHED = frozenset({"queued", "running", "requires_action"})


@bp.route("sessions/{session_id}/messages", methods=["POST"])
@bp.durable_client_input(client_name="client")
@endpoint
@describes(
    Answer(200, "The message with its answer", MessageView, headers=(PREFERENCE_APPLIED, REPLAYED)),
    Answer(200, "The turn, as it goes", media_type=EVENT_STREAM, headers=(REPLAYED,), example=EXAMPLE),
    Answer(202, "The turn goes on", MessageView, headers=(LOCATION, PREFERENCE_APPLIED, REPLAYED)),
    takes=PostMessage,
    reads=(PREFER, IDEMPOTENCY_KEY),
    refuses=(
        SessionNotFoundError,
        SessionArchivedError,
        SessionFullError,
        TurnInProgressError,
        QueueFullError,
        AgentNotFoundError,
        ModelNotAllowedError,
        IdempotencyKeyReusedError,
    ),
)
async def post_message(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Accept a message and start its turn; then wait for the answer, stream it, or leave it to the session's stream."""
    body = await read_bytes(req)
    command, who, session_id = parsed(PostMessage, body), caller(req), session_id_of(req)
    new = NewMessage(command.text, who.trace_id, command.agent, command.model, command.on_busy, dict(command.metadata))

    scheduler = DurableTurnScheduler(client, services().settings)
    submission = await services().turns.submit(who.owner, session_id, new, scheduler, idempotency_key(req, body))
    told_posting(submission)

    return await _answer(req, submission)


async def _answer(req: Request, submission: Submission) -> Response:
    """The three ways of waiting: the turn is the same whichever the client takes."""
    asked, settings, message = preferences(req), services().settings, submission.message
    headers = {"idempotency-replayed": "true"} if submission.replayed else {}
    if asked.stream:
        lasting = timedelta(seconds=settings.stream_max_seconds)
        options = StreamOptions(submission.after, lasting, until=EndOf(message))
        return event_stream(services().log, message.session_id, options, headers)

    wait = timedelta(seconds=asked.waits(settings.message_wait_seconds))
    message = await services().messages.wait_for_end(message, wait)

    headers |= asked.applied
    if message.status not in _UNFINISHED:
        return ok(MessageView.of(message), 200, headers)
    headers["location"] = f"/sessions/{message.session_id}/stream?after={submission.after}"
    return ok(MessageView.of(message), 202, headers)


@bp.route("sessions/{session_id}/messages", methods=["GET"])
@endpoint
@describes(
    Answer(200, "The messages", list[MessageView], headers=(NEXT_PAGE,)),
    reads=(_LIMIT, _AFTER, _ORDER),
    refuses=(SessionNotFoundError, MessageNotFoundError),
)
async def list_messages(req: Request) -> Response:
    """List the session's messages as an array, oldest first; `order=desc` turns it round."""
    query, who, session_id = req.query_params, caller(req), session_id_of(req)
    limit, order = _LIMIT.of(query), _ORDER.of(query)
    after = MessageId(query["after"]) if "after" in query else None

    listed = await services().messages.list(who.owner, session_id, after=after, limit=limit, newest=order == "desc")

    headers: dict[str, str] = {}
    if len(listed) == limit:
        next_page = f"/sessions/{session_id}/messages?limit={limit}&order={order}&after={listed[-1].id}"
        headers["link"] = f'<{next_page}>; rel="next"'
    return ok([MessageView.of(message) for message in listed], headers=headers)


@bp.route("messages/{message_id}", methods=["GET"])
@endpoint
@describes(Answer(200, "The message", MessageView), refuses=(MessageNotFoundError,))
async def get_message(req: Request) -> Response:
    """One message with its answer as it stands."""
    message = await services().messages.get(caller(req).owner, MessageId(req.path_params["message_id"]))

    return ok(MessageView.of(message))


@bp.route("messages/{message_id}/full", methods=["GET"])
@endpoint
@describes(Answer(200, "The responses", FullResponseView), refuses=(MessageNotFoundError,))
async def get_full_response(req: Request) -> Response:
    """The message with everything the model's server answered."""
    message = await services().messages.get(caller(req).owner, MessageId(req.path_params["message_id"]))
    responses = await services().messages.responses(message)

    return ok(FullResponseView.of(message, responses))


@bp.route("sessions/{session_id}/cancel", methods=["POST"])
@bp.durable_client_input(client_name="client")
@endpoint
@describes(
    Answer(
        200, "The turn has ended, or there was nothing to do", CancelReceipt, headers=(PREFERENCE_APPLIED, REPLAYED)
    ),
    Answer(202, "The turn is stopping", CancelReceipt, headers=(PREFERENCE_APPLIED, REPLAYED)),
    takes=Cancel,
    reads=(PREFER, IDEMPOTENCY_KEY),
    refuses=(SessionNotFoundError, IdempotencyKeyReusedError),
)
async def cancel_turn(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Ask the running turn to stop, keeping what was written; `Prefer: wait` answers with its end."""
    body, who = await read_bytes(req), caller(req)
    command, key = parsed(Cancel, body), idempotency_key(req, body)
    wish = CancelRequest(who.trace_id, command.turn_id, command.reason, clears_queue=command.queue == "clear")

    scheduler = DurableTurnScheduler(client, services().settings)
    asked = await services().control.cancel(who.owner, session_id_of(req), wish, scheduler, key)

    return await _cancelled(req, asked)


async def _cancelled(req: Request, asked: StopReceipt) -> Response:
    """What has become of the turn that was asked to stop, as far as the client waits for it."""
    who, preferred = caller(req), preferences(req)
    headers = preferred.applied if asked.message_id is not None else {}
    headers |= {"idempotency-replayed": "true"} if asked.replayed else {}
    body: CancelReceipt = {
        "session_id": session_id_of(req),
        "turn_id": asked.turn_id,
        "status": asked.status,
        "trace_id": who.trace_id,
    }
    if asked.message_id is None:
        return ok(body, 200, headers)
    message = await services().messages.get(who.owner, asked.message_id)
    ended = await services().messages.wait_for_end(message, timedelta(seconds=preferred.wait or 0))
    if ended.status in _UNFINISHED:
        return ok(body, 202, headers)
    stopped_at = await services().messages.find_model_stop(ended)
    body["status"], body["message"] = ended.status, MessageView.of(ended)
    body["model_stopped_at"], body["usage"] = stopped_at, ended.usage
    return ok(body, 200, headers)
