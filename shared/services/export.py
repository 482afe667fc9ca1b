"""A session's whole log for taking away: enough to rebuild its state, usage and messages."""

from collections.abc import AsyncGenerator

from shared.domain.chunks import (
    Chunk,
    Event,
)
from shared.domain.documents import Message, ToolResult
from shared.domain.errors import StoreUnavailableError
from shared.domain.events import (
    MessageQueued,
    RunComplete,
    ToolCallComplete,
    UserMessage,
)
from shared.domain.export import ExportedEvent, ExportHeader, MessageFacts
from shared.domain.ids import SessionId
from shared.domain.session import SessionState, require_owned
from shared.ports import Clock, SessionLog
from shared.services.reading import load_texts

_CHUNKS_AT_ONCE = 50


class Exports:
    def __init__(self, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def header(self, owner: str, session_id: SessionId) -> ExportHeader:
        """The first line; the export ends with the log's head as it is now.

        Raises SessionNotFoundError.
        """
        state: SessionState = require_owned(await self._log.state(session_id), owner, session_id)
        return ExportHeader(session_id=session_id, epoch=state.epoch, head=state.head, exported_at=self._clock.now())

    async def events(self, header: ExportHeader) -> AsyncGenerator[ExportedEvent]:
        """The lines after the header, read as they are asked for.

        Raises:
            StoreUnavailableError: the log ends before the header's head, since the session is deleted meanwhile.
        """
        position = 0
        while position < header.head:
            chunks = await self._log.read(header.session_id, position, _CHUNKS_AT_ONCE, before=header.head + 1)
            if not chunks or chunks[0].first > position + 1:
                raise StoreUnavailableError(f"The session {header.session_id!r} is deleted: its export breaks off.")
            for chunk in chunks:
                for event in await load_texts(self._log, header.session_id, chunk.events):
                    if event.sequence <= header.head:
                        yield await self._line(chunk, event)
            position = chunks[-1].last

    async def _line(self, chunk: Chunk, event: Event) -> ExportedEvent:
        data = event.data
        if isinstance(data, ToolCallComplete) and data.overflow is not None:
            result = await self._log.get(ToolResult, chunk.session_id, data.overflow)
            data = data.model_copy(update={"response": None if result is None else result.outcome.response})
        if getattr(data, "overflow", None) is not None:  # it is in place now
            data = data.model_copy(update={"overflow": None})
        facts = await self._facts(chunk.session_id, event)
        return ExportedEvent.of(event.model_copy(update={"data": data}), chunk.writer, facts)

    async def _facts(self, session_id: SessionId, event: Event) -> MessageFacts | None:
        if event.message_id is None or not isinstance(event.data, UserMessage | MessageQueued | RunComplete):
            return None
        message = await self._log.get(Message, session_id, event.message_id)
        if message is None:
            return None
        if isinstance(event.data, RunComplete):
            return MessageFacts(completed_at=message.completed_at)
        return MessageFacts.entering(message)
