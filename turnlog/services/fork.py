"""Forks: another session with the same past."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pydantic_core import to_json

from turnlog.domain.chunks import Chunk, Draft, Event, sequenced
from turnlog.domain.errors import SequenceTakenError, SessionDeletedError, SessionNotFoundError
from turnlog.domain.events import (
    MessageComplete,
    MessageQueued,
    RunComplete,
    SessionDeleted,
    ToolCallComplete,
    UserMessage,
)
from turnlog.domain.fold import fold
from turnlog.domain.fork import Fork
from turnlog.domain.ids import MessageId, SessionId, WriterId, new_session_id, new_writer_id
from turnlog.domain.session import SessionState, require_owned
from turnlog.domain.sizes import size_of_body
from turnlog.domain.stored_documents import (
    AnyDocument,
    Message,
    MessageParts,
    ModelResponse,
    StepDocument,
    ToolResult,
    response_id,
    step_id,
)
from turnlog.ports import Clock, SessionLog
from turnlog.services.log.idempotency import IdempotencyKey, claimed
from turnlog.services.log.writer import Decision, SessionWriter

_PAGE = 50
_MAX_JOINED_BYTES = 64 * 1024


@dataclass(frozen=True)
class ForkRequest:
    """What a fork asks for. `at_sequence`: the last event that may be copied; None is the log's end."""

    trace_id: str
    at_sequence: int | None = None
    session_name: str | None = None


class Forks:
    def __init__(self, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def fork(
        self, owner: str, source: SessionId, request: ForkRequest, key: IdempotencyKey | None = None
    ) -> tuple[SessionState, bool]:
        """Copy `source` up to its last finished turn, or find the copy of a request with the same key: then True.

        The copy is not a session until its last chunk is written. A retry with the same key continues what the first
        request left. If there is no retry, the sweep deletes it.

        Raises:
            SessionNotFoundError: also if the source is deleted in between; then there is no copy.
            SessionDeletedError: the copy of this key was deleted. IdempotencyKeyReusedError.
        """
        async with claimed(self._log, key, new_session_id(owner, self._clock.now())) as claim:
            copy = SessionId(claim.result)
            if key is not None:
                return await self._find_or_copy(owner, source, copy, request, key)
            state = require_owned(await self._log.state(source), owner, source)
            fork = Fork(source, copy, await self._find_cut(state, request.at_sequence), request.session_name)
            try:
                return await self._copy(fork, new_writer_id(), request.trace_id), False
            except SessionNotFoundError:
                await self.abandon(copy)
                raise

    async def _find_or_copy(
        self, owner: str, source: SessionId, copy: SessionId, request: ForkRequest, key: IdempotencyKey
    ) -> tuple[SessionState, bool]:
        """The one copy of all requests with `key`. They write the same events under one writer id."""
        while True:
            begun = await self._log.state(copy)
            if begun is not None and begun.deleted:
                raise SessionDeletedError(copy)
            if begun is not None and begun.is_complete:
                return begun, True
            state = require_owned(await self._log.state(source), owner, source)
            cut = None if begun is None or begun.forked_from is None else begun.forked_from.sequence
            cut = cut or await self._find_cut(state, request.at_sequence)
            fork = Fork(source, copy, cut, request.session_name)
            with suppress(
                SequenceTakenError
            ):  # another request copies as well, and may have read another end of the log
                return await self._copy(fork, WriterId(key.id[:16]), request.trace_id), False

    async def abandon(self, copy: SessionId) -> None:
        """Delete a copy that is not complete. A request that still writes it finds the next sequence taken."""
        writer = SessionWriter(self._log, self._clock, copy)
        if await writer.load() is None:
            return

        async def decide(state: SessionState) -> Decision[None]:
            return Decision(None, () if state.is_complete or state.deleted else [Draft(data=SessionDeleted())])

        await writer.transact(decide)

    async def _find_cut(self, state: SessionState, at_sequence: int | None) -> int:
        """The end of the last turn that ended at or before `at_sequence`; without one, the session's creation."""
        before = min(at_sequence or state.head, state.head) + 1
        while chunks := await self._log.read(state.session_id, 0, _PAGE, before=before, newest=True, skip_deltas=True):
            events = [event for chunk in chunks for event in chunk.events if event.sequence < before]
            ends = [event.sequence for event in events if isinstance(event.data, RunComplete)]
            if ends:
                return ends[-1]
            before = chunks[0].first
        return 1

    async def _copy(self, fork: Fork, writer: WriterId, trace_id: str) -> SessionState:
        state: SessionState | None = None
        async for original in self._chunks(fork):
            for event in original.events:
                await self._copy_document(fork, event)
            chunk = fork.copy_chunk(original, writer)
            state = fold(state, (chunk,))
            # The first checkpoint shows the sweep that a copy was begun, the last one that the copy is complete.
            checkpoint = state if chunk.first == 1 else None
            if state is not None and chunk.last == fork.cut:
                await self._require_source(fork.source)
                closing = sequenced(fork.closing_drafts(state, trace_id), fork.cut, self._clock.now())
                chunk = chunk.model_copy(update={"events": (*chunk.events, *closing)})
                state = checkpoint = fold(state, (chunk,))
            await self._log.append(chunk, checkpoint)
        if state is None:
            raise SessionNotFoundError(fork.source)
        return state

    async def _chunks(self, fork: Fork) -> AsyncGenerator[Chunk]:
        position = 0
        while position < fork.cut:
            chunks = await self._log.read(fork.source, position, _PAGE, before=fork.cut + 1)
            if not chunks or chunks[0].first > position + 1:
                await self._require_source(fork.source)
                raise SessionNotFoundError(fork.source)
            for chunk in _joined(chunks):
                yield chunk
            position = chunks[-1].last

    async def _require_source(self, source: SessionId) -> None:
        """Raise SessionNotFoundError if the source is deleted: its documents may be cleared."""
        state = await self._log.state(source)
        if state is None or state.deleted:
            raise SessionNotFoundError(source)

    async def _copy_document(self, fork: Fork, event: Event) -> None:
        if event.sequence > fork.cut:
            return
        if isinstance(event.data, UserMessage | MessageQueued) and event.data.parts_bytes:
            await self._copy_parts(fork, event)
        document = await self._load_document(fork, event)
        if document is not None:
            await self._log.put(fork.session_id, document)

    async def _copy_parts(self, fork: Fork, event: Event) -> None:
        parts = None if event.message_id is None else await self._log.get(MessageParts, fork.source, event.message_id)
        if parts is not None:
            await self._log.put(fork.session_id, fork.copy_parts(parts))

    async def _load_document(self, fork: Fork, event: Event) -> AnyDocument | None:
        """The document that belongs to `event`, as the fork stores it."""
        if event.message_id is None:
            return None
        match event.data:
            case UserMessage() | MessageQueued() | RunComplete():
                return await self._load_message(fork, event)
            case ToolCallComplete(id=call_id):
                result = await self._log.get(ToolResult, fork.source, call_id)
                return None if result is None else fork.copy_tool_result(result)
            case MessageComplete(step=step):
                return await self._copy_step(fork, event.message_id, step)
            case _:
                return None

    async def _copy_step(self, fork: Fork, message_id: MessageId, step: int) -> StepDocument | None:
        found = await self._log.get(StepDocument, fork.source, step_id(message_id, step))
        if found is None or found.response is not None:
            return None if found is None else fork.copy_step(found)
        response = await self._log.get(ModelResponse, fork.source, response_id(message_id, step))
        if response is not None:
            await self._log.put(fork.session_id, fork.copy_response(response))
        return fork.copy_step(found)

    async def _load_message(self, fork: Fork, event: Event) -> Message | None:
        message = None if event.message_id is None else await self._log.get(Message, fork.source, event.message_id)
        if message is None:
            return None
        # Ended from its first write on: a late request, or one that dies, then undoes nothing of a complete copy.
        if isinstance(event.data, RunComplete) or fork.has_turn_of(message):
            return fork.message_after_turn(message)
        # A steering message that was not read waits unchanged: it is written again when its own turn begins.
        own = fork.message_id(message.message_id)
        if isinstance(event.data, MessageQueued) and await self._log.get(Message, fork.session_id, own) is not None:
            return None
        return fork.message_at_entry(message, event)


def _joined(chunks: Sequence[Chunk]) -> Iterator[Chunk]:
    """`chunks`, with neighbours that hold only deltas joined, as far as they fit: few writes for a page of them."""
    events, size = list[Event](), 0
    for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
        events += chunk.events
        size += size_of_body(to_json(chunk.events).decode())
        is_joined = following is not None and chunk.has_only_deltas and following.has_only_deltas
        if not is_joined or size > _MAX_JOINED_BYTES:
            yield chunk.model_copy(update={"events": tuple(events)})
            events, size = [], 0
