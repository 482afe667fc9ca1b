"""Texts that are too large for an event, and parts of contents: each is stored in a document that the event names."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, takewhile
from typing import TypeVar

from shared.domain.chunks import Event
from shared.domain.content import Content
from shared.domain.events import MessageComplete, MessageQueued, UserMessage
from shared.domain.ids import MessageId, SessionId
from shared.domain.stored_documents import Message, MessageParts, ModelResponse
from shared.ports import Documents

T = TypeVar("T")

MAX_PAGE_BYTES = 8 * 1024 * 1024
"""A page ends before its parts are larger than this together. It has one entry at least."""


async def load_texts(documents: Documents, session_id: SessionId, events: Sequence[Event]) -> Sequence[Event]:
    """`events` with their large texts and parts filled in. Tool responses over 64 KB stay links."""
    if not any(getattr(event.data, "overflow", None) or bytes_of_parts_in(event) for event in events):
        return events
    return [await _filled(documents, session_id, event) for event in events]


def bytes_of_parts_in(event: Event) -> int:
    """The size of the parts that are filled into `event`."""
    return event.data.parts_bytes or 0 if isinstance(event.data, UserMessage | MessageQueued) else 0


def within_page(entries: Sequence[T], sizes: Iterable[int]) -> Sequence[T]:
    """The first of `entries` whose `sizes` fit on a page together."""
    fitting = sum(1 for _ in takewhile(lambda total: total <= MAX_PAGE_BYTES, accumulate(sizes)))
    return entries[: max(1, fitting)]


async def _filled(documents: Documents, session_id: SessionId, event: Event) -> Event:
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
