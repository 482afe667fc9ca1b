"""Texts that are too large for an event, and large contents: each is in a document that the event names."""

from collections.abc import Sequence
from typing import Any

from turnlog.domain.chunks import Event
from turnlog.domain.content import Content
from turnlog.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageQueued,
    ReasoningDelta,
    ToolCallActionRequired,
    ToolCallComplete,
    ToolCallDelta,
    ToolCallStart,
    UserMessage,
)
from turnlog.domain.ids import MessageId, SessionId
from turnlog.domain.stored_documents import Message, MessageParts, Step, StepDocument, ToolResult
from turnlog.ports import Documents

_NO_STEP = Step(text="")


async def load_texts(documents: Documents, session_id: SessionId, events: Sequence[Event]) -> Sequence[Event]:
    """`events` with their large texts, arguments and contents filled in. Tool responses over 64 KB stay links."""
    texts = _Texts(documents, session_id)
    return [await texts.fill(event) for event in events]


async def load_text_of(documents: Documents, session_id: SessionId, event: Event) -> Event:
    """The same for one event."""
    return await _Texts(documents, session_id).fill(event)


def event_size(event: Event) -> int:
    """About how many bytes a response has for `event`."""
    match event.data:
        case MessageDelta(text=text) | ReasoningDelta(text=text) | ToolCallDelta(arguments=text):
            return len(text)  # the deltas of a page are joined
        case _:
            return len(event.model_dump_json())


class _Texts:
    """Fills in what events refer to. The events of a step are neighbours, so its document is read once."""

    def __init__(self, documents: Documents, session_id: SessionId) -> None:
        self._documents = documents
        self._session_id = session_id
        self._newest: tuple[str, Step] = ("", _NO_STEP)

    async def fill(self, event: Event) -> Event:
        match event.data:
            case UserMessage(parts_bytes=int()) | MessageQueued(parts_bytes=int()) as data:
                if event.message_id is None:
                    return event
                content = await _load_content(self._documents, self._session_id, event.message_id)
                return event if content is None else _with(event, data, content=content)
            case MessageComplete(overflow=str(document_id)) as data:
                return _with(event, data, text=(await self._step(document_id)).text)
            case (
                ToolCallStart(id=call_id, arguments_in=str(document_id))
                | ToolCallComplete(id=call_id, arguments_in=str(document_id))
                | ToolCallActionRequired(id=call_id, arguments_in=str(document_id))
            ) as data:
                return _with(event, data, arguments=_arguments_of(await self._step(document_id), call_id))
            case _:
                return event

    async def _step(self, document_id: str) -> Step:
        if self._newest[0] != document_id:
            found = await self._documents.get(StepDocument, self._session_id, document_id)
            self._newest = (document_id, _NO_STEP if found is None else found.step)
        return self._newest[1]


def _with(event: Event, data: Any, **fields: Any) -> Event:
    return event.model_copy(update={"data": data.model_copy(update=fields)})


def _arguments_of(step: Step, call_id: str) -> str:
    """The arguments of a call of `step`; none once they are cleared."""
    return next((call.arguments for call in step.tool_calls if call.id == call_id), "")


async def load_whole_result(documents: Documents, session_id: SessionId, result: ToolResult) -> ToolResult:
    """`result` with its arguments, if they are in the step's document."""
    if result.arguments_in is None:
        return result
    found = await documents.get(StepDocument, session_id, result.arguments_in)
    arguments = "" if found is None else _arguments_of(found.step, result.id)
    return result.model_copy(update={"arguments": arguments, "arguments_in": None})


async def load_content(documents: Documents, message: Message) -> Content:
    """The content of `message` as it was sent; only its text, if that is not large, once the rest is cleared."""
    if not message.parts_bytes:
        return message.content
    found = await documents.get(MessageParts, message.session_id, message.message_id)
    return message.content if found is None else found.parts


async def _load_content(documents: Documents, session_id: SessionId, message_id: MessageId) -> Content | None:
    found = await documents.get(MessageParts, session_id, message_id)
    if found is not None:
        return found.parts
    message = await documents.get(Message, session_id, message_id)
    return None if message is None else message.content
