"""Forks: another session with the same past."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

from shared.domain.chunks import (
    Chunk,
    Draft,
    Event,
    sequenced,
)
from shared.domain.documents import AnyDocument, Message, ModelResponse, ToolResult, response_id
from shared.domain.errors import SequenceTakenError, SessionDeletedError, SessionNotFoundError
from shared.domain.events import (
    MessageComplete,
    MessageQueued,
    RunComplete,
    SessionDeleted,
    ToolCallComplete,
    UserMessage,
)
from shared.domain.fold import fold
from shared.domain.fork import Fork
from shared.domain.ids import SessionId, WriterId, new_session_id, new_writer_id
from shared.domain.session import SessionState
from shared.ports import Clock, SessionLog
from shared.services.idempotency import IdempotencyKey, claiming
from shared.services.sessions import require_owned
from shared.services.writer import Decision, SessionWriter

_CHUNKS_AT_ONCE = 50


@dataclass(frozen=True)
class ForkRequest:
    """What is asked of a fork. `at_sequence`: the last event that may be copied; None is the log's end."""

    trace_id: str
    at_sequence: int | None = None
    session_name: str | None = None


class Forks:
    def __init__(self, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def fork(
        self, owner: str, source: SessionId, wish: ForkRequest, key: IdempotencyKey | None = None
    ) -> tuple[SessionState, bool]:
        """Copy `source` up to its last finished turn, or find the copy of a request with the same key: then True.

        Until its last chunk is written the copy is no session. A retry with the same key goes on with what the first
        try left behind; what nobody goes on with, the sweep ends.

        Raises:
            SessionNotFoundError: also when the source is deleted meanwhile; then there is no copy.
            SessionDeletedError: the copy that this key made is. IdempotencyKeyReusedError.
        """
        async with claiming(self._log, key, new_session_id(self._clock.now())) as claim:
            made = SessionId(claim.result)
            if key is not None:
                return await self._found_or_made(owner, source, made, wish, key)
            state = require_owned(await self._log.state(source), owner, source)
            fork = Fork(source, made, await self._cut(state, wish.at_sequence), wish.session_name)
            try:
                return await self._copied(fork, new_writer_id(), wish.trace_id), False
            except SessionNotFoundError:
                await self.abandon(made)
                raise

    async def _found_or_made(
        self, owner: str, source: SessionId, made: SessionId, wish: ForkRequest, key: IdempotencyKey
    ) -> tuple[SessionState, bool]:
        """The copy `made` of all requests with `key`, which write the same as one writer."""
        while True:
            begun = await self._log.state(made)
            if begun is not None and begun.deleted:
                raise SessionDeletedError(made)
            if begun is not None and begun.is_complete:
                return begun, True
            state = require_owned(await self._log.state(source), owner, source)
            cut = None if begun is None or begun.forked_from is None else begun.forked_from.sequence
            fork = Fork(source, made, cut or await self._cut(state, wish.at_sequence), wish.session_name)
            with suppress(SequenceTakenError):  # another request is at it, and may have seen another end of the log
                return await self._copied(fork, WriterId(key.id[:16]), wish.trace_id), False

    async def abandon(self, copy: SessionId) -> None:
        """End a copy that is not whole: whoever still writes it finds the next place taken."""
        writer = SessionWriter(self._log, self._clock, copy)
        if await writer.load() is None:
            return

        async def decide(state: SessionState) -> Decision[None]:
            return Decision(None, () if state.is_complete or state.deleted else [Draft(data=SessionDeleted())])

        await writer.settle(decide)

    async def _cut(self, state: SessionState, at_sequence: int | None) -> int:
        """The end of the last turn that ended at or before `at_sequence`; else the session's creation."""
        before = min(at_sequence or state.head, state.head) + 1
        while chunks := await self._log.read(
            state.session_id, 0, _CHUNKS_AT_ONCE, before=before, newest=True, skip_deltas=True
        ):
            events = [event for chunk in chunks for event in chunk.events if event.sequence < before]
            ends = [event.sequence for event in events if isinstance(event.data, RunComplete)]
            if ends:
                return ends[-1]
            before = chunks[0].first
        return 1

    async def _copied(self, fork: Fork, writer: WriterId, trace_id: str) -> SessionState:
        state: SessionState | None = None
        async for read in self._chunks(fork):
            for event in read.events:
                await self._copy_document(fork, event)
            chunk = fork.chunk(read, writer)
            state = fold(state, (chunk,))
            # The first one shows the sweep that a copy was begun, the last one everybody that it is whole.
            checkpoint = state if chunk.first == 1 else None
            if state is not None and chunk.last == fork.cut:
                await self._expect(fork.source)
                closing = sequenced(fork.closing(state, trace_id), fork.cut, self._clock.now())
                chunk = chunk.model_copy(update={"events": (*chunk.events, *closing)})
                state = checkpoint = fold(state, (chunk,))
            await self._log.append(chunk, checkpoint)
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
        # From the first write on: who is late, or dies then, takes nothing back from a copy that another has finished.
        if isinstance(event.data, RunComplete) or fork.holds_turn_of(message):
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
