"""A turn as a UI message stream of the AI SDK, version 1 (ai-sdk.dev, "Stream Protocols").

The protocol cannot take back text. So each part of an answer names its step and attempt in
`providerMetadata.turnlog`, and a page shows only the newest attempt of each step: docs/use/ai-sdk.md.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

from azurefunctions.extensions.http.fastapi import StreamingResponse

from turnlog.api.edge.session_stream import StreamOptions, session_stream
from turnlog.api.edge.sse import data_frame
from turnlog.api.shapes.common import as_json
from turnlog.api.shapes.events import response_of
from turnlog.domain.chunks import Event
from turnlog.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageStart,
    ReasoningDelta,
    RunComplete,
    SessionDeleted,
    ToolCallActionRequired,
    ToolCallComplete,
    ToolCallStart,
    UserMessage,
    VibecodeResponse,
)
from turnlog.domain.ids import MessageId, PublicId, TurnId, public_id
from turnlog.domain.stored_documents import Message
from turnlog.services.messages import EndOf
from turnlog.wiring import services

_HEADERS = {"x-vercel-ai-ui-message-stream": "v1"}

Piece: TypeAlias = dict[str, Any]
_DONE = b"data: [DONE]\n\n"
_FINISH_REASONS = {"length": "length", "content_filter": "content-filter"}


class UiMessage:
    """Renders the events of one turn, from its first one on, as the pieces of one message of the assistant.

    `message_id` is the posted message's, `turn_id` the turn that answers it.
    """

    def __init__(self, session_id: PublicId, message_id: MessageId, turn_id: TurnId) -> None:
        self._session_id = session_id
        self._message_id = message_id
        self._turn_id = turn_id
        self._has_started = False
        self._step = 0
        self._attempt = 0
        self._open: tuple[str, str] | None = None
        self._announced: set[str] = set()
        self._finish_reason = "stop"

    def render(self, event: Event, _: bytes, /) -> bytes:
        return b"".join(data_frame(as_json(piece)) for piece in self._pieces(event))

    def end(self, _: Mapping[str, Any], __: bytes, /) -> bytes:
        return _DONE

    def _pieces(self, event: Event) -> Iterable[Piece]:
        if isinstance(event.data, SessionDeleted):
            yield {"type": "error", "errorText": "The session was deleted."}
            return
        if isinstance(event.data, UserMessage) and event.message_id == self._message_id and event.turn_id is not None:
            self._turn_id = event.turn_id  # a message that steered may get a turn of its own
        if event.turn_id != self._turn_id:
            return
        if not self._has_started:
            self._has_started = True
            ids = {"session_id": self._session_id, "turn_id": self._turn_id, "message_id": self._message_id}
            yield {"type": "start", "messageId": self._turn_id, "messageMetadata": ids}
        yield from self._pieces_of_turn(event)

    def _pieces_of_turn(self, event: Event) -> Iterable[Piece]:
        match event.data:
            case MessageStart(step=step, attempt=attempt):
                yield from self._begin(step, attempt)
            case ReasoningDelta(text=text):
                yield from self._grow("reasoning", text)
            case MessageDelta(text=text):
                yield from self._grow("text", text)
            case MessageComplete(finish_reason=reason):
                self._finish_reason = _FINISH_REASONS.get(reason or "", "stop")
                yield from self._close()
            case ToolCallStart() | ToolCallActionRequired() | ToolCallComplete():
                yield from self._tool_call(event.data)
            case VibecodeResponse(patch=patch, project_revision=revision):
                yield {"type": "data-patch", "data": {"patch": patch, "project_revision": revision}}
            case RunComplete():
                yield from self._finish(event.data)
            case _:
                pass

    def _begin(self, step: int, attempt: int) -> Iterable[Piece]:
        yield from self._close()
        if step != self._step:
            if self._step:
                yield {"type": "finish-step"}
            yield {"type": "start-step"}
        self._step, self._attempt = step, attempt

    def _grow(self, kind: str, text: str) -> Iterable[Piece]:
        part = (kind, f"{kind}-{self._step}-{self._attempt}")
        if self._open != part:
            yield from self._close()
            yield {"type": f"{kind}-start", "id": part[1], "providerMetadata": {"turnlog": self._place()}}
            self._open = part
        yield {"type": f"{kind}-delta", "id": part[1], "delta": text}

    def _close(self) -> Iterable[Piece]:
        if self._open is not None:
            kind, part_id = self._open
            self._open = None
            yield {"type": f"{kind}-end", "id": part_id}

    def _place(self) -> Mapping[str, int]:
        return {"step": self._step, "attempt": self._attempt}

    def _tool_call(self, call: ToolCallStart | ToolCallActionRequired | ToolCallComplete) -> Iterable[Piece]:
        yield from self._close()
        ids = {"toolCallId": call.id, "dynamic": True}
        if call.id not in self._announced:
            self._announced.add(call.id)
            by_client = isinstance(call, ToolCallActionRequired) and call.kind == "client_tool"
            executed = {} if by_client else {"providerExecuted": True}
            arguments = _arguments(call.arguments)
            yield {"type": "tool-input-available", **ids, "toolName": call.name, "input": arguments, **executed}
        match call:
            case ToolCallActionRequired(kind="approval"):
                yield {"type": "tool-approval-request", "approvalId": call.id, "toolCallId": call.id}
            case ToolCallComplete(status="completed"):
                yield {"type": "tool-output-available", **ids, "output": response_of(self._session_id, call)}
            case ToolCallComplete(status="denied"):
                yield {"type": "tool-output-denied", "toolCallId": call.id}
            case ToolCallComplete(status=status, response=response):
                text = response if isinstance(response, str) else json.dumps(response)
                yield {"type": "tool-output-error", **ids, "errorText": text if response else f"The call was {status}."}
            case _:
                pass

    def _finish(self, end: RunComplete) -> Iterable[Piece]:
        yield from self._close()
        if self._step:
            yield {"type": "finish-step"}
        metadata = {"usage": end.usage, "status": end.status, "model": end.model}
        yield {"type": "message-metadata", "messageMetadata": metadata}
        match end.status:
            case "cancelled":
                yield {"type": "abort"}
            case "failed":
                yield {"type": "error", "errorText": end.error.message if end.error else "The turn failed."}
            case _:
                yield {"type": "finish", "finishReason": self._finish_reason}


def ui_message_stream(
    message: Message, after: int, first: Sequence[Event] = (), headers: Mapping[str, str] | None = None
) -> StreamingResponse:
    """The answer to `message` from the cursor `after` on, up to the end of its turn or a planned end."""
    app = services()
    options = StreamOptions(
        after,
        timedelta(seconds=app.settings.stream_max_seconds),
        renderer=UiMessage(public_id(message.session_id), message.message_id, message.turn_id),
        until=EndOf(message),
        first=first,
    )
    return session_stream(app.log, message.session_id, options, {**_HEADERS, **(headers or {})})


def _arguments(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text  # as the model wrote it
