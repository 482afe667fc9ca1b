"""Forks: another session with the same past."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from shared.domain.chunks import (
    Chunk,
    Event,
    sequenced,
)
from shared.domain.documents import AnyDocument, IdempotencyRecord, Message, ModelResponse, ToolResult, response_id
from shared.domain.errors import SequenceTakenError, SessionExistsError, SessionNotFoundError
from shared.domain.events import (
    MessageComplete,
    MessageQueued,
    RunComplete,
    SessionCreated,
    ToolCallComplete,
    UserMessage,
)
from shared.domain.fold import fold
from shared.domain.fork import Fork
from shared.domain.ids import SessionId, WriterId, new_session_id, new_writer_id
from shared.domain.session import SessionState
from shared.ports import Clock, SessionLog
from shared.services.sessions import IdempotencyKey, Sessions, belonging, session_id_for

_CHUNKS_AT_ONCE = 50


@dataclass(frozen=True)
class ForkWish:
    """What is asked of a fork. `at_sequence`: the last event that may be copied; None is the log's end."""

    trace_id: str
    at_sequence: int | None = None
    session_name: str | None = None


class Forks:
    def __init__(self, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._sessions = Sessions(log, clock)

    async def fork(
        self, owner: str, source: SessionId, wish: ForkWish, key: IdempotencyKey | None = None
    ) -> tuple[SessionState, bool]:
        """Copy `source` up to its last finished turn, or find the copy of a request with the same key: then True.

        The state is written with the last chunk: until then there is no session. A retry with the same key goes on
        with what the first try left behind.

        Raises:
            SessionNotFoundError: also when the source is deleted meanwhile; then there is no copy.
            SessionDeletedError: the copy that this key made is. SessionExistsError, IdempotencyKeyReusedError.
        """
        # A retry must go on where the first try died, so the key decides the ids.
        made = new_session_id(self._clock.now()) if key is None else session_id_for(key)
        writer = new_writer_id() if key is None else WriterId(key.id[:16])
        while True:
            state = belonging(await self._log.state(source), owner, source)
            if key is not None and await self._log.state(made) is not None:
                return await self._sessions.found(owner, made, key), True
            cut = await self._begun(made, key) or await self._cut(state, wish.at_sequence)
            fork = Fork(source, made, cut, wish.session_name)
            try:
                return await self._copied(fork, writer, wish.trace_id, key), False
            except SessionNotFoundError:
                if key is None:  # with a key, another request may just have finished this very copy
                    await self._log.clear(made)
                raise
            except SequenceTakenError:  # another request with this key is at it, and may see another end of the log
                if key is None:
                    raise

    async def _begun(self, made: SessionId, key: IdempotencyKey | None) -> int | None:
        """The cut of a copy that was begun with this key."""
        chunks = () if key is None else await self._log.read(made, 0, 1)
        if key is None or not chunks:
            return None
        created = chunks[0].events[0].data
        record = await self._log.get(IdempotencyRecord, made, key.id)
        if key.replayed(record) is None or not isinstance(created, SessionCreated) or created.forked_from is None:
            raise SessionExistsError("A fork with this Idempotency-Key was left unfinished long ago: take a new key.")
        return created.forked_from.sequence

    async def _cut(self, state: SessionState, at_sequence: int | None) -> int:
        """The end of the last turn that ended at or before `at_sequence`; else the session's creation."""
        before = min(at_sequence or state.head, state.head) + 1
        while chunks := await self._log.read(
            state.session_id, 0, _CHUNKS_AT_ONCE, before=before, newest=True, telling=True
        ):
            events = [event for chunk in chunks for event in chunk.events if event.sequence < before]
            ends = [event.sequence for event in events if isinstance(event.data, RunComplete)]
            if ends:
                return ends[-1]
            before = chunks[0].first
        return 1

    async def _copied(self, fork: Fork, writer: WriterId, trace_id: str, key: IdempotencyKey | None) -> SessionState:
        state: SessionState | None = None
        async for read in self._chunks(fork):
            for event in read.events:
                await self._copy_document(fork, event)
            chunk = fork.chunk(read, writer)
            state = fold(state, (chunk,))
            checkpoint = None
            if state is not None and chunk.last == fork.cut:
                await self._expect(fork.source)
                closing = sequenced(fork.closing(state, trace_id), fork.cut, self._clock.now())
                chunk = chunk.model_copy(update={"events": (*chunk.events, *closing)})
                state = checkpoint = fold(state, (chunk,))
            record = () if key is None or chunk.first > 1 else (key.record(fork.session_id),)
            await self._log.append(chunk, checkpoint, record)
        if state is None:
            raise SessionNotFoundError(fork.source)
        return state

    async def _chunks(self, fork: Fork) -> AsyncGenerator[Chunk]:
        position = 0
        while position < fork.cut:
            chunks = await self._log.read(fork.source, position, _CHUNKS_AT_ONCE, before=fork.cut + 1)
            if not chunks or chunks[0].first > position + 1:
                await self._expect(fork.source)
                raise SessionNotFoundError(fork.source)
            for chunk in _joined(chunks):
                yield chunk
            position = chunks[-1].last

    async def _expect(self, source: SessionId) -> None:
        """Refuse to go on with a source that is deleted: its documents may be gone."""
        state = await self._log.state(source)
        if state is None or state.deleted:
            raise SessionNotFoundError(source)

    async def _copy_document(self, fork: Fork, event: Event) -> None:
        document = None if event.sequence > fork.cut else await self._document(fork, event)
        if document is not None:
            await self._log.put(fork.session_id, document)

    async def _document(self, fork: Fork, event: Event) -> AnyDocument | None:
        """What stands beside the log for `event`, as the fork keeps it."""
        if event.message_id is None:
            return None
        match event.data:
            case UserMessage() | MessageQueued() | RunComplete():
                return await self._message(fork, event)
            case ToolCallComplete(id=call_id):
                result = await self._log.get(ToolResult, fork.source, call_id)
                return None if result is None else fork.tool_result(result)
            case MessageComplete(step=step):
                response = await self._log.get(ModelResponse, fork.source, response_id(event.message_id, step))
                return None if response is None else fork.response(response)
            case _:
                return None

    async def _message(self, fork: Fork, event: Event) -> Message | None:
        message = None if event.message_id is None else await self._log.get(Message, fork.source, event.message_id)
        if message is None:
            return None
        if isinstance(event.data, RunComplete):
            return fork.ended(message)
        # One that steered and was not read waits as it stands: it is written anew when its own turn begins.
        own = fork.message_id(message.message_id)
        if isinstance(event.data, MessageQueued) and await self._log.get(Message, fork.session_id, own) is not None:
            return None
        return fork.entering(message, event)


def _joined(chunks: Sequence[Chunk]) -> Iterator[Chunk]:
    """`chunks` with those that hold deltas only put together: one write for a page of them."""
    for is_deltas, run in groupby(chunks, lambda chunk: chunk.types == ("message.delta",)):
        each = list(run)
        events = tuple(event for chunk in each for event in chunk.events)
        yield from [each[0].model_copy(update={"events": events})] if is_deltas else each
