"""Texts that are too large for an event, and parts of contents: each is stored in a document that the event names."""

from collections.abc import Sequence

from shared.domain.chunks import Event
from shared.domain.content import Content
from shared.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageQueued,
    ReasoningDelta,
    ToolCallDelta,
    UserMessage,
)
from shared.domain.ids import MessageId, SessionId
from shared.domain.stored_documents import Message, MessageParts, ModelResponse
from shared.ports import Documents


async def load_texts(documents: Documents, session_id: SessionId, events: Sequence[Event]) -> Sequence[Event]:
    """`events` with their large texts and parts filled in. Tool responses over 64 KB stay links."""
    return [await load_text_of(documents, session_id, event) for event in events]


def event_size(event: Event) -> int:
    """About how many bytes a response has for `event`."""
    match event.data:
        case MessageDelta(text=text) | ReasoningDelta(text=text) | ToolCallDelta(arguments=text):
            return len(text)  # the deltas of a page are joined
        case _:
            return len(event.model_dump_json())


async def load_text_of(documents: Documents, session_id: SessionId, event: Event) -> Event:
    """`event` with its large text or its parts filled in."""
    data = event.data
    if isinstance(data, UserMessage | MessageQueued) and data.parts_bytes and event.message_id is not None:
        parts = await load_parts(documents, session_id, event.message_id)
        if parts is not None:
            return event.model_copy(update={"data": data.model_copy(update={"content": parts})})
    match data:
        case UserMessage(overflow=str(key)) | MessageQueued(overflow=str(key)) | MessageComplete(overflow=str(key)):
            text = await load_text(documents, session_id, type(data), key)
            field = "text" if isinstance(data, MessageComplete) else "content"
            return event.model_copy(update={"data": data.model_copy(update={field: text or ""})})
        case _:
            return event


async def load_text(documents: Documents, session_id: SessionId, event_type: type, document_id: str) -> str | None:
    """The text of an event of this type, from the document `document_id`; None once that is cleared."""
    if event_type is MessageComplete:
        response = await documents.get(ModelResponse, session_id, document_id)
        return None if response is None else str(response.body["choices"][0]["message"]["content"] or "")
    message = await documents.get(Message, session_id, document_id)
    return None if message is None else message.content


async def load_content(documents: Documents, message: Message) -> Content:
    """The content of `message` as it was sent; only its text once the parts are cleared."""
    if not message.parts_bytes:
        return message.content
    return await load_parts(documents, message.session_id, message.message_id) or message.content


async def load_parts(documents: Documents, session_id: SessionId, message_id: MessageId) -> Content | None:
    """The parts of a message's content; None if they are cleared."""
    found = await documents.get(MessageParts, session_id, message_id)
    return None if found is None else found.parts
