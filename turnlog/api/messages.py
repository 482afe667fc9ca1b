"""HTTP functions of messages: post one, list them, read one, cancel its turn, list and withdraw those that wait."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import EVENT_STREAM, Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.parameters import (
    IDEMPOTENCY_KEY,
    LOCATION,
    NEXT_PAGE,
    PAGE_LIMIT,
    PREFER,
    PREFERENCE_APPLIED,
    REPLAYED,
    Choice,
    Text,
)
from turnlog.api.edge.principal import caller_of
from turnlog.api.edge.requests import (
    MESSAGE_BODY_BYTES,
    idempotency_key,
    message_id_of,
    parse,
    preferences,
    public_id_of,
    read_bytes,
    session_id_of,
)
from turnlog.api.edge.responses import no_content, ok, replay_header, stream_location
from turnlog.api.edge.session_stream import EXAMPLE, StreamOptions, session_stream
from turnlog.api.edge.tracing import record_posting
from turnlog.api.front_ends.ag_ui import posted_stream
from turnlog.api.front_ends.ai_sdk import ui_message_stream
from turnlog.api.shapes.messages import Cancel, CancelReceipt, FullResponseView, MessageView, PostMessage
from turnlog.domain.errors import (
    AgentNotFoundError,
    BudgetExceededError,
    IdempotencyKeyReusedError,
    MessageNotFoundError,
    ModelNotAllowedError,
    NotWaitingError,
    QueueFullError,
    SessionArchivedError,
    SessionFullError,
    SessionNotFoundError,
    TurnInProgressError,
)
from turnlog.domain.events import ToolCallComplete
from turnlog.domain.ids import MessageId, public_id
from turnlog.domain.stored_documents import Message
from turnlog.scheduler import DurableTurnScheduler
from turnlog.services.messages import EndOf
from turnlog.services.runs import started_by
from turnlog.services.turns.cancelling import Cancellation, CancelRequest
from turnlog.services.turns.submit import NewMessage, Submission
from turnlog.wiring import services

bp = df.Blueprint()

_ORDER = Choice("order", "`desc`: newest first", allowed=("asc", "desc"), default="asc")
_AFTER = Text("after", "list the messages after this `message_id`, in the chosen order")
_FORMAT = Choice(
    "format",
    "`ai-sdk`: answer with a UI message stream of the AI SDK; `ag-ui`: with AG-UI events; whatever `Accept` says",
    allowed=("ai-sdk", "ag-ui"),
)
_UNFINISHED = frozenset({"queued", "running", "requires_action"})


async def _view(message: Message) -> MessageView:
    return (await _views([message], await services().messages.outcomes(message)))[0]


async def _views(messages: Sequence[Message], outcomes: Mapping[str, ToolCallComplete]) -> list[MessageView]:
    contents = await services().messages.contents(messages)
    return [MessageView.of(message, content, outcomes) for message, content in zip(messages, contents, strict=True)]


@bp.route("sessions/{session_id}/messages", methods=["POST"])
@bp.durable_client_input(client_name="client")
@endpoint
@describes(
    Answer(200, "The message with its answer", MessageView, headers=(PREFERENCE_APPLIED, REPLAYED)),
    Answer(200, "The stream of the turn", media_type=EVENT_STREAM, headers=(REPLAYED,), example=EXAMPLE),
    Answer(202, "The turn continues", MessageView, headers=(LOCATION, PREFERENCE_APPLIED, REPLAYED)),
    takes=PostMessage,
    reads=(PREFER, IDEMPOTENCY_KEY, _FORMAT),
    refuses=(
        SessionNotFoundError,
        SessionArchivedError,
        SessionFullError,
        BudgetExceededError,
        TurnInProgressError,
        QueueFullError,
        AgentNotFoundError,
        ModelNotAllowedError,
        IdempotencyKeyReusedError,
    ),
)
async def post_message(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Post a message and start its turn. Wait for the answer, stream it, or read it later from the session's stream."""
    body = await read_bytes(req, MESSAGE_BODY_BYTES)
    sent, caller, session_id = parse(PostMessage, body), caller_of(req), session_id_of(req)
    new = NewMessage(
        sent.content, caller.trace_id, sent.agent, sent.model, sent.on_busy, dict(sent.metadata), sent.client_id
    )

    streams = preferences(req).stream or _FORMAT.read(req.query_params) is not None
    scheduler = DurableTurnScheduler(client, services().settings, waits=not streams)
    submission = await services().turns.submit(caller.owner, session_id, new, scheduler, idempotency_key(req, body))
    record_posting(submission)

    return await _answer(req, submission)


async def _answer(req: Request, submission: Submission) -> Response:
    """Answer in the form that the client prefers. The turn does not depend on it."""
    preferred, settings, message = preferences(req), services().settings, submission.message
    headers = replay_header(replayed=submission.replayed)
    form = _FORMAT.read(req.query_params)
    if form == "ai-sdk":
        return ui_message_stream(message, submission.after, submission.events, headers)
    if form == "ag-ui":
        return await posted_stream(caller_of(req).owner, started_by(submission), headers)
    if preferred.stream:
        max_duration = timedelta(seconds=settings.stream_max_seconds)
        options = StreamOptions(submission.after, max_duration, until=EndOf(message), first=submission.events)
        return session_stream(services().log, message.session_id, options, headers)

    timeout = timedelta(seconds=preferred.wait_seconds(settings.message_wait_seconds))
    message = await services().messages.wait_for_end(message, timeout)

    headers |= preferred.applied
    if message.status not in _UNFINISHED:
        return ok(await _view(message), 200, headers)
    return ok(await _view(message), 202, headers | stream_location(public_id(message.session_id), submission.after))


@bp.route("sessions/{session_id}/messages", methods=["GET"])
@endpoint
@describes(
    Answer(200, "The messages", list[MessageView], headers=(NEXT_PAGE,)),
    reads=(PAGE_LIMIT, _AFTER, _ORDER),
    refuses=(SessionNotFoundError, MessageNotFoundError),
)
async def list_messages(req: Request) -> Response:
    """List the session's messages as an array, oldest first; newest first with `order=desc`.

    The next page has `after=` with the last message's id; an empty page is the end. `link` has the same URL, but pages
    of other origins can't read headers.
    """
    query, caller = req.query_params, caller_of(req)
    limit, order = PAGE_LIMIT.read(query), _ORDER.read(query)
    after = MessageId(query["after"]) if "after" in query else None

    find = services().messages.list
    page = await find(caller.owner, session_id_of(req), after=after, limit=limit, newest=order == "desc")

    next_page = f"/sessions/{public_id_of(req)}/messages?limit={limit}&order={order}"
    headers = {"link": f'<{next_page}&after={page.messages[-1].id}>; rel="next"'} if page.has_more else {}
    return ok(await _views(page.messages, page.outcomes), headers=headers)


@bp.route("messages/{message_id}", methods=["GET"])
@endpoint
@describes(Answer(200, "The message", MessageView), refuses=(MessageNotFoundError,))
async def get_message(req: Request) -> Response:
    """Read a message with what has been written of its answer."""
    message = await services().messages.get(caller_of(req).owner, message_id_of(req))

    return ok(await _view(message))


@bp.route("messages/{message_id}/full", methods=["GET"])
@endpoint
@describes(Answer(200, "The responses", FullResponseView), refuses=(MessageNotFoundError,))
async def get_full_response(req: Request) -> Response:
    """Read a message with the unabridged responses of the model server."""
    message = await services().messages.get(caller_of(req).owner, message_id_of(req))
    responses = await services().messages.responses(message)

    return ok(FullResponseView.of(message, responses))


@bp.route("sessions/{session_id}/cancel", methods=["POST"])
@bp.durable_client_input(client_name="client")
@endpoint
@describes(
    Answer(
        200,
        "The turn has ended, or there was nothing to cancel",
        CancelReceipt,
        headers=(PREFERENCE_APPLIED, REPLAYED),
    ),
    Answer(202, "The turn is stopping", CancelReceipt, headers=(PREFERENCE_APPLIED, REPLAYED)),
    takes=Cancel,
    reads=(PREFER, IDEMPOTENCY_KEY),
    refuses=(SessionNotFoundError, IdempotencyKeyReusedError),
)
async def cancel_turn(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Stop the running turn; what it has written stays. With `Prefer: wait` the answer comes after its end."""
    body, caller = await read_bytes(req), caller_of(req)
    sent, key = parse(Cancel, body), idempotency_key(req, body)
    request = CancelRequest(caller.trace_id, sent.turn_id, sent.reason, clears_queue=sent.queue == "clear")

    scheduler = DurableTurnScheduler(client, services().settings)
    receipt = await services().cancelling.cancel(caller.owner, session_id_of(req), request, scheduler, key)

    return await _answer_cancel(req, receipt)


async def _answer_cancel(req: Request, receipt: Cancellation) -> Response:
    """Wait for the end of the turn as long as the client prefers, and answer what became of it."""
    caller, preferred = caller_of(req), preferences(req)
    headers = preferred.applied if receipt.message_id is not None else {}
    headers |= replay_header(replayed=receipt.replayed)
    body: CancelReceipt = {
        "session_id": public_id_of(req),
        "turn_id": receipt.turn_id,
        "status": receipt.status,
        "trace_id": caller.trace_id,
    }
    if receipt.message_id is None:
        return ok(body, 200, headers)
    message = await services().messages.get(caller.owner, receipt.message_id)
    message = await services().messages.wait_for_end(message, timedelta(seconds=preferred.wait or 0))
    if message.status in _UNFINISHED:
        return ok(body, 202, headers)
    stopped_at = await services().messages.find_model_stop(message)
    body["status"], body["message"] = message.status, await _view(message)
    body["model_stopped_at"], body["usage"] = stopped_at, message.usage
    if message.cost is not None:
        body["cost"] = float(message.cost)
    return ok(body, 200, headers)


@bp.route("sessions/{session_id}/queue", methods=["GET"])
@endpoint
@describes(Answer(200, "The waiting messages", list[MessageView]), refuses=(SessionNotFoundError,))
async def list_queue(req: Request) -> Response:
    """List the messages that wait for their turn as an array, in the order in which they will run."""
    waiting = await services().messages.list_queued(caller_of(req).owner, session_id_of(req))

    return ok(await _views(waiting, {}))


@bp.route("sessions/{session_id}/queue/{message_id}", methods=["DELETE"])
@endpoint
@describes(
    Answer(204, "The message is withdrawn and will have no turn"),
    refuses=(SessionNotFoundError, MessageNotFoundError, NotWaitingError),
)
async def withdraw_message(req: Request) -> Response:
    """Withdraw a message that waits for its turn."""
    caller = caller_of(req)

    await services().cancelling.withdraw(caller.owner, session_id_of(req), message_id_of(req), caller.trace_id)

    return no_content()
