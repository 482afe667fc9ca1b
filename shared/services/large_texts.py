"""Texts that are too large for an event, and large contents: each is in a document that the event names."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, takewhile
from typing import Any, TypeVar

from shared.domain.chunks import Event
from shared.domain.content import Content
from shared.domain.events import (
    MessageComplete,
    MessageQueued,
    ToolCallActionRequired,
    ToolCallComplete,
    ToolCallStart,
    UserMessage,
)
from shared.domain.ids import MessageId, SessionId
from shared.domain.stored_documents import Message, MessageParts, Step, StepDocument, ToolResult
from shared.ports import Documents

T = TypeVar("T")

MAX_PAGE_BYTES = 8 * 1024 * 1024
"""A page ends before its contents are larger than this together. It has one entry at least."""

_NO_STEP = Step(text="")


async def load_texts(documents: Documents, session_id: SessionId, events: Sequence[Event]) -> Sequence[Event]:
    """`events` with their large texts, arguments and contents filled in. Tool responses over 64 KB stay links."""
    texts = _Texts(documents, session_id)
    return [event if event.message_id is None else await texts.fill(event, event.message_id) for event in events]


def bytes_of_parts_in(event: Event) -> int:
    """The size of the content that is filled into `event`."""
    return event.data.parts_bytes or 0 if isinstance(event.data, UserMessage | MessageQueued) else 0


def within_page(entries: Sequence[T], sizes: Iterable[int]) -> Sequence[T]:
    """The first of `entries` whose `sizes` fit on a page together."""
    fitting = sum(1 for _ in takewhile(lambda total: total <= MAX_PAGE_BYTES, accumulate(sizes)))
    return entries[: max(1, fitting)]


class _Texts:
    """Fills in what events refer to. The events of a step are neighbours, so its document is read once."""

    def __init__(self, documents: Documents, session_id: SessionId) -> None:
        self._documents = documents
        self._session_id = session_id
        self._newest: tuple[str, Step] = ("", _NO_STEP)

    async def fill(self, event: Event, message_id: MessageId) -> Event:
        match event.data:
            case UserMessage(parts_bytes=int()) | MessageQueued(parts_bytes=int()) as data:
                content = await _load_content(self._documents, self._session_id, message_id)
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
