"""Sessions as agents' memories: items are read from the log, added to it, and removed."""

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from turnlog.domain.chunks import Draft, Event
from turnlog.domain.errors import InvalidRequestError, SessionArchivedError, SessionExistsError, TooLargeError
from turnlog.domain.events import Outside, ToolCallComplete
from turnlog.domain.ids import SessionId, is_public_id, public_id
from turnlog.domain.memory import ADDED, CLEARED, POPPED, Item, Memory
from turnlog.domain.session import SessionState, require_owned
from turnlog.domain.sizes import size_of
from turnlog.domain.stored_documents import ToolResult
from turnlog.ports import Clock, SessionLog
from turnlog.services.log.large_texts import load_texts
from turnlog.services.log.writer import Decision, R, SessionWriter
from turnlog.services.sessions import Sessions

MAX_ITEMS_BYTES = 1024 * 1024
_CHUNKS_PER_READ = 100

Decide: TypeAlias = Callable[[SessionState], Awaitable[Decision[R]]]


class Memories:
    def __init__(self, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._sessions = Sessions(log, clock)

    async def items(self, owner: str, session_id: SessionId) -> Sequence[Item]:
        """The items of the memory, oldest first. Empty if there is no such session.

        Raises SessionNotFoundError: the session is deleted, or another owner's.
        """
        state = await self._log.state(session_id)
        return [] if state is None else await self._load_items(require_owned(state, owner, session_id))

    async def add(self, owner: str, session_id: SessionId, items: Sequence[Item], trace_id: str) -> None:
        """Append items, all of them or none. A missing session is created.

        Raises:
            SessionNotFoundError, SessionDeletedError, SessionArchivedError, InvalidRequestError, TooLargeError
        """
        draft = Draft(data=Outside(event_type=ADDED, fields={"items": _normalized(items)}), trace_id=trace_id)

        async def decide(_: SessionState) -> Decision[None]:
            return Decision(None, [draft] if items else [])

        await self._transact(owner, session_id, decide, trace_id)

    async def pop(self, owner: str, session_id: SessionId, trace_id: str) -> Item | None:
        """Remove and return the newest item, or None. Two concurrent calls remove two items."""

        async def decide(state: SessionState) -> Decision[Item | None]:
            items = await self._load_items(state)
            draft = Draft(data=Outside(event_type=POPPED), trace_id=trace_id)
            return Decision(items[-1], [draft]) if items else Decision(None)

        return await self._transact(owner, session_id, decide, trace_id)

    async def clear(self, owner: str, session_id: SessionId, trace_id: str) -> None:
        """Remove all items. The log keeps its events, so the session itself looks the same."""

        async def decide(_: SessionState) -> Decision[None]:
            return Decision(None, [Draft(data=Outside(event_type=CLEARED), trace_id=trace_id)])

        await self._transact(owner, session_id, decide, trace_id)

    async def _transact(self, owner: str, session_id: SessionId, decide: Decide[R], trace_id: str) -> R:
        if not is_public_id(name := public_id(session_id)):
            raise InvalidRequestError(f"{name!r} can't be a session id.")
        writer = SessionWriter(self._log, self._clock, session_id)
        if await writer.load() is None:
            with suppress(SessionExistsError):  # another request created it first
                await self._sessions.create(owner, {}, session_id, trace_id)
            await writer.load()

        async def allowed(state: SessionState) -> Decision[R]:
            if require_owned(state, owner, session_id).archived:
                raise SessionArchivedError
            return await decide(state)

        return await writer.transact(allowed)

    async def _load_items(self, state: SessionState) -> list[Item]:
        memory, after = Memory(), 0
        for chunk in await self._log.newest_of_type(state.session_id, CLEARED, 1):
            cleared = [event.sequence for event in chunk.events if event.type == CLEARED]
            after = cleared[-1] if cleared[-1] <= state.head else 0
        while chunks := await self._log.read(
            state.session_id, after, _CHUNKS_PER_READ, before=state.head + 1, skip_deltas=True
        ):
            events = [event for chunk in chunks for event in chunk.events if after < event.sequence <= state.head]
            for event in await load_texts(self._log, state.session_id, events):
                memory.add(await self._with_response(state.session_id, event))
            after = chunks[-1].last
        return memory.items

    async def _with_response(self, session_id: SessionId, event: Event) -> Event:
        if not isinstance(event.data, ToolCallComplete) or event.data.overflow is None:
            return event
        result = await self._log.get(ToolResult, session_id, event.data.overflow)
        response = None if result is None else result.outcome.response
        return event.model_copy(update={"data": event.data.model_copy(update={"response": response})})


def _normalized(items: Sequence[Item]) -> list[Item]:
    """`items` as a later read returns them.

    Raises:
        InvalidRequestError: they are not JSON. TooLargeError: they don't fit into one event.
    """
    try:
        text = json.dumps(items, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"The items are not JSON: {error}.") from error
    if size_of(text) > MAX_ITEMS_BYTES:
        raise TooLargeError(f"The items are larger than {MAX_ITEMS_BYTES // 1024} KB together: add them one by one.")
    return json.loads(text)
