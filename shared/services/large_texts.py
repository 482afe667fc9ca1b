"""Texts that are too large for an event: each is stored in a document that the event names."""

from collections.abc import Sequence

from shared.domain.chunks import Event
from shared.domain.events import MessageComplete, MessageQueued, UserMessage
from shared.domain.ids import SessionId
from shared.domain.stored_documents import Message, ModelResponse
from shared.ports import Documents


async def load_texts(documents: Documents, session_id: SessionId, events: Sequence[Event]) -> Sequence[Event]:
    """`events` with their large texts filled in. Tool responses over 64 KB stay links."""
    if not any(getattr(event.data, "overflow", None) for event in events):
        return events
    return [await _filled(documents, session_id, event) for event in events]


async def _filled(documents: Documents, session_id: SessionId, event: Event) -> Event:
    match event.data:
        case UserMessage(overflow=str(key)) | MessageQueued(overflow=str(key)) | MessageComplete(overflow=str(key)):
            text = await load_text(documents, session_id, type(event.data), key)
            field = "text" if isinstance(event.data, MessageComplete) else "content"
            return event.model_copy(update={"data": event.data.model_copy(update={field: text or ""})})
        case _:
            return event


async def load_text(documents: Documents, session_id: SessionId, event_type: type, document_id: str) -> str | None:
    """The text of an event of this type, from the document `document_id`; None once that is cleared."""
    if event_type is MessageComplete:
        response = await documents.get(ModelResponse, session_id, document_id)
        return None if response is None else str(response.body["choices"][0]["message"]["content"] or "")
    message = await documents.get(Message, session_id, document_id)
    return None if message is None else message.content
