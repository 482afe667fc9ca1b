"""Retention: sessions that nobody has used for a long time are deleted, if an operator wants that."""

import logging
import time
from dataclasses import dataclass
from datetime import timedelta

from turnlog.ports import Clock, SessionLog
from turnlog.services.sessions import Sessions

_SESSIONS_PER_READ = 100
_MAX_SECONDS = 240  # of one run; the next one continues

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retention:
    """Deletes idle sessions as DELETE does. Two runs at once do no harm. `ttl` None: sessions are kept for ever."""

    log: SessionLog
    sessions: Sessions
    clock: Clock
    ttl: timedelta | None

    async def sweep(self) -> int:
        """Delete the sessions in which nothing happened for longer than `ttl`. Returns how many."""
        if self.ttl is None:
            return 0
        before, ends_at = self.clock.now() - self.ttl, time.monotonic() + _MAX_SECONDS
        deleted, tried = 0, set[str]()
        while time.monotonic() < ends_at:
            idle = await self.log.idle_since(before, _SESSIONS_PER_READ + len(tried))
            new = [state for state in idle if state.session_id not in tried]
            if not new:
                break
            for state in new:
                tried.add(state.session_id)
                try:
                    deleted += await self.sessions.delete_idle(state, before)
                except Exception:  # noqa: BLE001  # one that can't be deleted must not keep the others
                    _log.exception("session %s could not be deleted; the next run tries again", state.session_id)
        if deleted:
            _log.info("deleted %s sessions that were idle for more than %s days", deleted, self.ttl.days)
        return deleted
