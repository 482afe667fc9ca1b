"""Streams of AG-UI events: of a run that was started, of a posted message, and of a session as it is now."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta

from azurefunctions.extensions.http.fastapi import StreamingResponse

from turnlog.api.edge.session_stream import StreamOptions, session_stream
from turnlog.api.edge.sse import stream_response
from turnlog.api.front_ends.ag_ui_events import RunEvents
from turnlog.api.front_ends.ag_ui_messages import JSON, conversation, earlier_messages
from turnlog.api.front_ends.ag_ui_wire import Run, whole_run
from turnlog.domain.ids import SessionId, public_id
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import Message
from turnlog.services.messages import EndOf
from turnlog.services.runs import StartedRun
from turnlog.wiring import services

_MAX_MESSAGES = 100
"""A snapshot has the newest messages of the user up to this number, with their answers."""

EXAMPLE = """: open

data: {"type":"RUN_STARTED","threadId":"demo","runId":"run-1","protocolVersion":"1.0"}

data: {"type":"STEP_STARTED","stepName":"step 1"}

data: {"type":"TEXT_MESSAGE_START","messageId":"turn_01-1","role":"assistant"}

data: {"type":"TEXT_MESSAGE_CONTENT","messageId":"turn_01-1","delta":"Once upon"}

data: {"type":"TEXT_MESSAGE_END","messageId":"turn_01-1"}

data: {"type":"STEP_FINISHED","stepName":"step 1"}

data: {"type":"RUN_FINISHED","threadId":"demo","runId":"run-1","outcome":{"type":"success"}}
"""


def run_stream(
    run: Run, started: StartedRun, messages: Sequence[JSON], headers: Mapping[str, str]
) -> StreamingResponse:
    """The events of a run. `messages` are those that its client sent.

    A run that was started before is sent from the start of its turn, and replaces what the client has of it.
    """
    earlier = earlier_messages(messages) if started.replayed else messages
    return _stream(RunEvents(run, started.message, earlier), started, headers, replaces_messages=started.replayed)


async def posted_stream(owner: str, started: StartedRun, headers: Mapping[str, str]) -> StreamingResponse:
    """The turn of a posted message as a run, after the stored conversation before it."""
    message = started.message
    run = Run(public_id(message.session_id), message.message_id)
    earlier = await _load_conversation(owner, message.session_id, message)
    return _stream(RunEvents(run, message, earlier), started, headers, replaces_messages=True)


async def connected_stream(owner: str, state: SessionState) -> StreamingResponse:
    """The stored conversation, then the active turn from its start, if there is one."""
    active = await services().messages.active(state)
    if active is not None:
        return await posted_stream(owner, StartedRun(active, active.sequence - 1), {})
    session_id = state.session_id
    whole = whole_run(Run(public_id(session_id), "none"), await _load_conversation(owner, session_id, None))

    async def body() -> AsyncGenerator[bytes]:
        yield whole

    return stream_response(body())


def _stream(
    events: RunEvents, started: StartedRun, headers: Mapping[str, str], *, replaces_messages: bool
) -> StreamingResponse:
    app, message = services(), started.message

    async def pause(state: SessionState) -> bytes:
        turn = state.active_turn
        if turn is None or turn.turn_id != events.turn_id or not (turn.parked and turn.open_actions):
            return b""
        return events.pause(await app.sessions.required_action(state))

    options = StreamOptions(
        started.after,
        timedelta(seconds=app.settings.stream_max_seconds),
        renderer=events,
        until=EndOf(message),
        first=() if started.submission is None else started.submission.events,
        opening=events.begin(replaces_messages=replaces_messages),
        pause=pause,
    )
    return session_stream(app.log, message.session_id, options, headers)


async def _load_conversation(owner: str, session_id: SessionId, newest: Message | None) -> list[JSON]:
    """The messages of the session; those before `newest`, and the user's own text of it, if it is given."""
    stored = services().messages
    page = await stored.list(owner, session_id, after=None, limit=_MAX_MESSAGES, newest=True)
    messages = page.messages[::-1]
    if newest is not None:
        messages = [each for each in messages if each.sequence < newest.sequence]
        messages.append(newest.model_copy(update={"steps": ()}))
    if not messages:
        return []
    return conversation(messages, await stored.contents(messages), page.outcomes)
