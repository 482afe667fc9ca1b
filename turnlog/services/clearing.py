"""Clearing: removes what is left of deleted sessions, and copies that were never completed."""

import logging
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta

from turnlog.domain.ids import SessionId
from turnlog.domain.session import SessionState
from turnlog.ports import Clock, SessionLog, TurnScheduler
from turnlog.services.backoff import Backoff
from turnlog.services.fork import Forks
from turnlog.services.projects.webhooks import Webhooks

_MAX_DURATION = timedelta(minutes=10)
"""A run ends after this. The next one begins with the sessions that were deleted the longest ago."""

_log = logging.getLogger(__name__)


@dataclass
class Clearing:
    """`clear_after` is how long a deleted session keeps its log, so that appends of earlier writers are refused."""

    log: SessionLog
    clock: Clock
    forks: Forks
    clear_after: timedelta
    webhooks: Webhooks
    backoff: Backoff[SessionId] = field(default_factory=Backoff[SessionId])

    async def run(self, scheduler: TurnScheduler) -> None:
        """Clear every session that is due. Safe to run twice, also at the same time.

        A deletion is announced before, unless the request that deleted the session has done so.

        Raises:
            StoreUnavailableError
        """
        began = self.clock.now()
        async with aclosing(self.log.due_for_clearing(began - self.clear_after)) as due:
            async for state in due:
                if self.clock.now() - began >= _MAX_DURATION:
                    break
                if not self.backoff.is_waiting(state.session_id, self.clock.now()):
                    await self._clear(state, scheduler)

    async def _clear(self, state: SessionState, scheduler: TurnScheduler) -> None:
        session_id = state.session_id
        try:
            if state.is_complete:
                await self.webhooks.announce_deletion(state, scheduler)
            # An abandoned copy is deleted first; a later run clears it.
            await (self.log.clear(session_id) if state.deleted else self.forks.abandon(session_id))
        except Exception:  # noqa: BLE001  # it must not keep the others waiting
            pause = self.backoff.failed(session_id, self.clock.now())
            _log.exception("session %s could not be cleared; tried again in %s", session_id, pause)
        else:
            self.backoff.succeeded(session_id)
