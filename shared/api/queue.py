"""HTTP functions of the queue: list what waits, withdraw it."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.api.description.describes import Answer, describes
from shared.api.edge.endpoint import endpoint
from shared.api.edge.principal import caller
from shared.api.edge.responses import no_content, ok
from shared.api.sessions import session_id_of
from shared.api.shapes.views import MessageView
from shared.domain.errors import MessageNotFoundError, NotWaitingError, SessionNotFoundError
from shared.domain.ids import MessageId
from shared.wiring import services

bp = df.Blueprint()


@bp.route("sessions/{session_id}/queue", methods=["GET"])
@endpoint
@describes(Answer(200, "The waiting messages", list[MessageView]), refuses=(SessionNotFoundError,))
async def list_queue(req: Request) -> Response:
    """List the waiting messages as an array, in the order in which they will run."""
    waiting = await services().messages.list_queued(caller(req).owner, session_id_of(req))

    return ok([MessageView.of(message) for message in waiting])


@bp.route("sessions/{session_id}/queue/{message_id}", methods=["DELETE"])
@endpoint
@describes(
    Answer(204, "The message will have no turn"),
    refuses=(SessionNotFoundError, MessageNotFoundError, NotWaitingError),
)
async def withdraw_message(req: Request) -> Response:
    """Take back a waiting message."""
    who, message_id = caller(req), MessageId(req.path_params["message_id"])

    await services().control.withdraw(who.owner, session_id_of(req), message_id, who.trace_id)

    return no_content()
