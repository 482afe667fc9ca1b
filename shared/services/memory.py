"""A session as an agent's memory: items read from its log, added to it, taken back."""

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from shared.domain.chunks import Draft, Event
from shared.domain.documents import ToolResult
from shared.domain.errors import InvalidRequestError, SessionArchivedError, SessionExistsError, TooLargeError
from shared.domain.events import Outside, ToolCallComplete
from shared.domain.ids import SessionId, is_session_id
from shared.domain.memory import ADDED, CLEARED, POPPED, Item, Memory
from shared.domain.session import SessionState, require_owned
from shared.domain.values import size_of
from shared.ports import Clock, SessionLog
from shared.services.reading import load_texts
from shared.services.sessions import Sessions
from shared.services.writer import Decision, R, SessionWriter

ITEMS_BYTES = 1024 * 1024
_CHUNKS_AT_ONCE = 100

Decide: TypeAlias = Callable[[SessionState], Awaitable[Decision[R]]]


class Memories:
    def __init__(self, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._sessions = Sessions(log, clock)

    async def items(self, owner: str, session_id: SessionId) -> Sequence[Item]:
        """What is remembered, oldest first; nothing if there is no such session.

        Raises SessionNotFoundError: it is deleted, or another owner's.
        """
        state = await self._log.state(session_id)
        return [] if state is None else await self._remembered(require_owned(state, owner, session_id))

    async def add(self, owner: str, session_id: SessionId, items: Sequence[Item], trace_id: str) -> None:
        """Append items, all of them or none; the session is opened if there is none.

        Raises:
            SessionNotFoundError, SessionDeletedError, SessionArchivedError, InvalidRequestError, TooLargeError
        """
        draft = Draft(data=Outside(event_type=ADDED, fields={"items": _as_json(items)}), trace_id=trace_id)

        async def decide(_: SessionState) -> Decision[None]:
            return Decision(None, [draft] if items else [])

        await self._settle(owner, session_id, decide, trace_id)

    async def pop(self, owner: str, session_id: SessionId, trace_id: str) -> Item | None:
        """Take back the newest item; None if there is none. Two at once take two."""

        async def decide(state: SessionState) -> Decision[Item | None]:
            remembered = await self._remembered(state)
            draft = Draft(data=Outside(event_type=POPPED), trace_id=trace_id)
            return Decision(remembered[-1], [draft]) if remembered else Decision(None)

        return await self._settle(owner, session_id, decide, trace_id)

    async def clear(self, owner: str, session_id: SessionId, trace_id: str) -> None:
        """Forget everything up to now. The log keeps it: what the session itself shows stays."""

        async def decide(_: SessionState) -> Decision[None]:
            return Decision(None, [Draft(data=Outside(event_type=CLEARED), trace_id=trace_id)])

        await self._settle(owner, session_id, decide, trace_id)

    async def _settle(self, owner: str, session_id: SessionId, decide: Decide[R], trace_id: str) -> R:
        if not is_session_id(session_id):
            raise InvalidRequestError(f"{session_id!r} can't be a session id.")
        writer = SessionWriter(self._log, self._clock, session_id)
        if await writer.load() is None:
            with suppress(SessionExistsError):  # somebody else opened it meanwhile
                await self._sessions.create(owner, {}, session_id, trace_id)
            await writer.load()

        async def allowed(state: SessionState) -> Decision[R]:
            if require_owned(state, owner, session_id).archived:
                raise SessionArchivedError("The session is archived: PATCH it with archived=false to go on.")
            return await decide(state)

        return await writer.settle(allowed)

    async def _remembered(self, state: SessionState) -> list[Item]:
        memory, position = Memory(), 0
        for chunk in await self._log.newest_of_type(state.session_id, CLEARED, 1):
            cleared = [event.sequence for event in chunk.events if event.type == CLEARED]
            position = cleared[-1] if cleared[-1] <= state.head else 0
        while chunks := await self._log.read(
            state.session_id, position, _CHUNKS_AT_ONCE, before=state.head + 1, skip_deltas=True
        ):
            events = [event for chunk in chunks for event in chunk.events if position < event.sequence <= state.head]
            for event in await load_texts(self._log, state.session_id, events):
                memory.after(await self._with_response(state.session_id, event))
            position = chunks[-1].last
        return memory.items

    async def _with_response(self, session_id: SessionId, event: Event) -> Event:
        if not isinstance(event.data, ToolCallComplete) or event.data.overflow is None:
            return event
        result = await self._log.get(ToolResult, session_id, event.data.overflow)
        response = None if result is None else result.outcome.response
        return event.model_copy(update={"data": event.data.model_copy(update={"response": response})})


def _as_json(items: Sequence[Item]) -> list[Item]:
    """`items` as they will be read again.

    Raises:
        InvalidRequestError: they are no JSON. TooLargeError: they don't fit into one event.
    """
    try:
        text = json.dumps(items, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"The items are not JSON: {error}.") from error
    if size_of(text) > ITEMS_BYTES:
        raise TooLargeError(f"The items are larger than {ITEMS_BYTES // 1024} KB together: add them one by one.")
    return json.loads(text)
