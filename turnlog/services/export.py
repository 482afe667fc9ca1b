"""Exports of sessions: the whole log, enough to rebuild state, usage and messages."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

from turnlog.domain.chunks import Chunk, Event
from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.events import MessageQueued, RunComplete, ToolCallComplete, UserMessage
from turnlog.domain.export import ExportedEvent, ExportHeader, MessageFacts
from turnlog.domain.ids import SessionId, public_id
from turnlog.domain.session import SessionState, require_owned
from turnlog.domain.stored_documents import Message, ToolResult
from turnlog.ports import Clock, SessionLog
from turnlog.services.log.large_texts import load_text_of
from turnlog.services.log.stream import follow


class Exports:
    def __init__(self, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def header(self, owner: str, session_id: SessionId) -> ExportHeader:
        """The first line. The export ends at the current head of the log.

        Raises SessionNotFoundError.
        """
        state: SessionState = require_owned(await self._log.state(session_id), owner, session_id)
        return ExportHeader(
            session_id=public_id(session_id), epoch=state.epoch, head=state.head, exported_at=self._clock.now()
        )

    async def events(self, session_id: SessionId, header: ExportHeader) -> AsyncGenerator[ExportedEvent]:
        """The lines after the header. Each page of them is read when it is needed.

        Raises:
            StoreUnavailableError: the log ends before the header's head, because the session was just deleted.
        """
        async with aclosing(follow(self._log, session_id, 0, timedelta(0))) as batches:
            async for chunks in batches:
                if not chunks:
                    raise StoreUnavailableError(f"The session {header.session_id!r} is deleted: its export breaks off.")
                for chunk in chunks:
                    for stored in chunk.events:
                        event = await load_text_of(self._log, session_id, stored)
                        yield await self._render_line(chunk, event)
                        if event.sequence == header.head:
                            return

    async def _render_line(self, chunk: Chunk, event: Event) -> ExportedEvent:
        data = event.data
        if isinstance(data, ToolCallComplete) and data.overflow is not None:
            result = await self._log.get(ToolResult, chunk.session_id, data.overflow)
            data = data.model_copy(update={"response": None if result is None else result.outcome.response})
        references = {name: None for name in ("overflow", "arguments_in") if getattr(data, name, None) is not None}
        data = data.model_copy(update=references)  # what they refer to is filled in
        facts = await self._load_facts(chunk.session_id, event)
        return ExportedEvent.of(event.model_copy(update={"data": data}), chunk.writer, facts)

    async def _load_facts(self, session_id: SessionId, event: Event) -> MessageFacts | None:
        if event.message_id is None or not isinstance(event.data, UserMessage | MessageQueued | RunComplete):
            return None
        message = await self._log.get(Message, session_id, event.message_id)
        if message is None:
            return None
        if isinstance(event.data, RunComplete):
            return MessageFacts(completed_at=message.completed_at)
        return MessageFacts.at_entry(message)
