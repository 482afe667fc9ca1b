"""Filling in what is too large for an event: the text stands in a document that the event names."""

from collections.abc import Sequence

from shared.domain.chunks import (
    Event,
)
from shared.domain.documents import Message, ModelResponse
from shared.domain.events import (
    MessageComplete,
    MessageQueued,
    UserMessage,
)
from shared.domain.ids import SessionId
from shared.ports import SessionLog


async def load_texts(log: SessionLog, session_id: SessionId, events: Sequence[Event]) -> Sequence[Event]:
    """`events` with their large texts in place; tool responses over 64 KB stay links."""
    if not any(getattr(event.data, "overflow", None) for event in events):
        return events
    return [await _filled_in(log, session_id, event) for event in events]


async def _filled_in(log: SessionLog, session_id: SessionId, event: Event) -> Event:
    match event.data:
        case (
            UserMessage(overflow=str(where)) | MessageQueued(overflow=str(where)) | MessageComplete(overflow=str(where))
        ):
            text = await load_text(log, session_id, type(event.data), where)
            field = "text" if isinstance(event.data, MessageComplete) else "content"
            return event.model_copy(update={"data": event.data.model_copy(update={field: text or ""})})
        case _:
            return event


async def load_text(log: SessionLog, session_id: SessionId, of: type, document_id: str) -> str | None:
    """The text that an event of type `of` left in the document `document_id`; None once that is cleared."""
    if of is MessageComplete:
        response = await log.get(ModelResponse, session_id, document_id)
        return None if response is None else str(response.body["choices"][0]["message"]["content"] or "")
    message = await log.get(Message, session_id, document_id)
    return None if message is None else message.content
