"""Limits of an owner in this process: requests a second, open streams, and turns that run at once."""

import math
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from turnlog.domain.errors import RateLimitedError
from turnlog.domain.ids import SessionId, TurnId, turn_of
from turnlog.domain.limits import OwnerLimits
from turnlog.domain.session import SessionState

_MAX_IDLE_OWNERS = 10_000
_STREAM_RETRY_SECONDS = 5
_TURN_RETRY_SECONDS = 2


class Outlines(Protocol):
    """What the limit of turns reads of a log."""

    async def outline(self, session_id: SessionId) -> SessionState | None: ...


@dataclass
class _Allowance:
    """The requests that an owner may send now: as many as in a second, refilled as time passes."""

    left: float
    at: float


class Limits:
    """Counts what each owner uses of this process. Every refusal comes before anything is written."""

    def __init__(self, limits: OwnerLimits, log: Outlines, seconds: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._log = log
        self._seconds = seconds
        self._allowances: dict[str, _Allowance] = {}
        self._streams: dict[str, int] = {}
        self._turns: dict[str, dict[TurnId, SessionId]] = {}
        self._starting: set[TurnId] = set()  # counted, and maybe not in the log yet

    def count_request(self, owner: str) -> None:
        """Raises RateLimitedError: the owner has sent too many requests."""
        if (rate := self._limits.requests_per_second) is None:
            return
        now = self._seconds()
        allowance = self._allowances.get(owner)
        if allowance is None:
            self._forget_idle(now)
            allowance = self._allowances[owner] = _Allowance(rate, now)
        allowance.left = min(rate, allowance.left + (now - allowance.at) * rate)
        allowance.at = now
        if allowance.left < 1:
            seconds = math.ceil((1 - allowance.left) / rate)
            raise RateLimitedError(f"You may send {rate} requests a second: send fewer.", seconds)
        allowance.left -= 1

    def open_stream(self, owner: str) -> Callable[[], None]:
        """Count a stream until the returned function is called, once or more.

        Raises:
            RateLimitedError: the owner has too many open streams.
        """
        limit = self._limits.streams
        if limit is not None and self._streams.get(owner, 0) >= limit:
            raise RateLimitedError(f"You may have {limit} open streams: close one.", _STREAM_RETRY_SECONDS)
        self._streams[owner] = self._streams.get(owner, 0) + 1
        is_open = True

        def close() -> None:
            nonlocal is_open
            if is_open:
                is_open = False
                self._streams[owner] -= 1
                if not self._streams[owner]:
                    del self._streams[owner]

        return close

    @contextmanager
    def new_turn(self, owner: str, session_id: SessionId) -> Generator[Callable[[TurnId], Awaitable[None]]]:
        """Let a request count the turn that it is about to start: at once, so that simultaneous ones see it.

        It is counted until it has ended. If the request then starts another turn instead, that one is counted. The
        function that is yielded raises RateLimitedError: too many turns run that this process accepted from the owner.
        """
        counted: set[TurnId] = set()

        async def count(turn_id: TurnId) -> None:
            if self._limits.turns is None:
                return
            for earlier in counted:
                self._turns.get(owner, {}).pop(earlier, None)
            self._starting -= counted
            await self._require_turn(owner, self._limits.turns)
            counted.add(turn_id)
            self._starting.add(turn_id)
            self._turns.setdefault(owner, {})[turn_id] = session_id

        try:
            yield count
        finally:
            self._starting -= counted

    async def _require_turn(self, owner: str, limit: int) -> None:
        turns = self._turns.get(owner, {})
        if len(turns) < limit:
            return
        # Only at the limit: look which of them have ended, or wait for a decision.
        for turn_id, session_id in list(turns.items()):
            if turn_id not in self._starting and not await self._is_running(turn_id, session_id):
                turns.pop(turn_id, None)
        turns = self._turns.get(owner, {})
        if len(turns) >= limit:
            raise RateLimitedError(f"You may run {limit} turns at once: wait for one to end.", _TURN_RETRY_SECONDS)
        if not turns:
            self._turns.pop(owner, None)

    async def _is_running(self, turn_id: TurnId, session_id: SessionId) -> bool:
        state = await self._log.outline(session_id)
        if state is None or state.deleted:
            return False
        turn = state.active_turn
        is_queued = any(turn_of(message_id) == turn_id for message_id in state.queue)
        return is_queued or (turn is not None and turn.turn_id == turn_id and not turn.parked)

    def _forget_idle(self, now: float) -> None:
        if len(self._allowances) >= _MAX_IDLE_OWNERS:
            recent = {owner: each for owner, each in self._allowances.items() if now - each.at < 1}
            self._allowances = recent
