"""Hearing what other processes append: one reader of a session looks for all of them, and wakes them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from shared.domain.chunks import (
    Chunk,
)
from shared.domain.ids import SessionId
from shared.stores.tails import TailedSession, Tails

Look: TypeAlias = Callable[[SessionId, int], Awaitable[Chunk | None]]
"""Reads the chunk that begins at a place; None says only that it wasn't seen, never that it isn't there."""

_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_LOOKS, _DUE = 3, 1.5


class PolledTails(Tails):
    """Readers who are woken by appends of this process at once, and by those of others when one of them is seen.

    There is no task to own: the first reader that waits looks for all, and when it goes another one takes over.
    """

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look

    async def news(self, session: TailedSession, after: int) -> None:
        try:
            while session.head <= after:
                if session.polled:
                    await session.woken(after)
                else:
                    await self._poll(session, after)
        finally:
            # Not where polling ends, since who could take over may itself be cancelled before it gets to it. All are
            # woken, since those who only listen wait among them.
            if not session.polled:
                session.wake_all()

    async def _poll(self, session: TailedSession, after: int) -> None:
        session.polled = True
        try:
            while session.head <= after:
                await _pause(session, after)
                if session.head <= after:
                    await self._look_on(session, after)
        finally:
            session.polled = False

    async def _look_on(self, session: TailedSession, after: int) -> None:
        # All who wait have read strongly up to where they are, so the next chunk is missing for the one furthest
        # behind, or already known to another: what is found is new to somebody and follows without a hole.
        chunk = await self._look(session.session_id, session.furthest_behind(after) + 1)
        if chunk is not None:
            self.appended(chunk)


async def _pause(session: TailedSession, after: int) -> None:
    """Wait half as long as the session has been silent, or until this process appends to it.

    Who writes an answer writes at a steady pace: as long as the next piece is about due, look three times at that pace.
    """
    silent = asyncio.get_running_loop().time() - session.changed_at
    pause = session.pace / _LOOKS if silent < _DUE * session.pace else silent / 2
    try:
        async with asyncio.timeout(min(max(pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)):
            await session.woken(after)
    except TimeoutError:
        pass
