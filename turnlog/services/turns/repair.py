"""Repair: finishes what was interrupted when a process was killed."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.faults import fault_domain
from turnlog.domain.ids import SessionId
from turnlog.domain.session import ActiveTurn, Attempt, SessionState
from turnlog.domain.turn import Fence
from turnlog.domain.turn_events import handover_event, stall_drafts
from turnlog.domain.values import Failure
from turnlog.ports import Clock, SessionLog, TurnScheduler
from turnlog.services.backoff import Backoff
from turnlog.services.log.writer import Decision, SessionWriter
from turnlog.services.turns.approvals import Approvals
from turnlog.services.turns.endings import Endings, EndRequest
from turnlog.timings import Timings

_MAX_DURATION = timedelta(minutes=5)
"""A sweep ends after this. The next one begins with the sessions that are due the longest."""

_AT_ONCE = 8
_MAX_DOUBLINGS = 16
_SLOW = timedelta(seconds=2)
"""A request to the store that takes longer was retried: the store was not available."""
_LOST = Failure(code="turn_lost", message="The turn made no progress until its deadline was over.", retryable=True)

_log = logging.getLogger(__name__)


@dataclass
class Repair:
    """Repairs sessions. Two repairs at once do no harm. There is one for each process."""

    log: SessionLog
    clock: Clock
    approvals: Approvals
    endings: Endings
    timings: Timings
    turn_timeout: timedelta
    backoff: Backoff[SessionId] = field(default_factory=Backoff[SessionId])
    _unavailable_at: datetime | None = None

    async def sweep(self, scheduler: TurnScheduler) -> None:
        """Repair every session that is due, several at once.

        A session that could not be repaired is tried again after a pause that doubles, and keeps no other waiting.

        Raises:
            StoreUnavailableError: the due sessions cannot be read.
        """
        began = self.clock.now()
        try:
            async with aclosing(self.log.due_for_repair(began - self.timings.start_grace)) as due:
                await self._repair_all(due, began, scheduler)
        except StoreUnavailableError:
            self._unavailable_at = self.clock.now()
            raise

    async def _repair_all(self, due: AsyncGenerator[SessionState], began: datetime, scheduler: TurnScheduler) -> None:
        running = set[asyncio.Task[None]]()
        asked = began
        try:
            async for state in due:
                self._note_duration(asked)
                if self.clock.now() - began >= _MAX_DURATION:
                    _log.warning("the sweep did not get through all sessions that are due; the next one continues")
                    break
                if self.backoff.is_waiting(state.session_id, self.clock.now()):
                    asked = self.clock.now()
                    continue
                running.add(asyncio.create_task(self._try(state, scheduler)))
                if len(running) >= _AT_ONCE:
                    _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                asked = self.clock.now()
        finally:
            if running:
                await asyncio.wait(running)

    async def _try(self, state: SessionState, scheduler: TurnScheduler) -> None:
        try:
            await self._repair(state, scheduler)
        except StoreUnavailableError as error:
            self._unavailable_at = self.clock.now()
            _log.warning("session %s is repaired by a later sweep: %s", state.session_id, error)
        except Exception:  # noqa: BLE001  # a session that cannot be repaired must not keep the others waiting
            pause = self.backoff.failed(state.session_id, self.clock.now())
            _log.exception("session %s could not be repaired; tried again in %s", state.session_id, pause)
        else:
            self.backoff.succeeded(state.session_id)

    async def _repair(self, stored: SessionState, scheduler: TurnScheduler) -> None:
        turn = stored.active_turn
        if turn is None:
            return
        if turn.parked:
            await self.approvals.expire(stored.session_id, turn.turn_id, scheduler)
            return
        asked = self.clock.now()
        state = await self.log.state(stored.session_id)
        self._note_duration(asked)
        if state is not None and state.active_turn is not None and state.active_turn.turn_id == turn.turn_id:
            await self._repair_turn(state, state.active_turn, scheduler)

    async def _repair_turn(self, state: SessionState, turn: ActiveTurn, scheduler: TurnScheduler) -> None:
        asked, open_attempts = self.clock.now(), _open_attempts(turn)
        silence = await self._silence(state, turn, open_attempts)
        self._note_duration(asked)
        now = self.clock.now()
        limit = self._first_limit(turn, open_attempts)
        doubled = 2 ** min(turn.generation - turn.running_generation, _MAX_DOUBLINGS)
        if silence >= self.timings.lost_after and now > turn.running_since + self.turn_timeout + limit:
            await self._lose(state, turn, scheduler)
        elif silence >= limit * doubled and not self._was_unavailable(now):
            await self._hand_over(state, turn, scheduler)
        elif silence >= self.timings.start_grace:
            status = await scheduler.status(turn.instance_id)
            if status == "absent":
                _log.warning("turn %s: instance %s was never started; starting it", turn.turn_id, turn.instance_id)
                await scheduler.start(state)
            elif status == "ended" and silence >= self.timings.start_grace * doubled:
                await self._hand_over(state, turn, scheduler)

    def _first_limit(self, turn: ActiveTurn, open_attempts: list[Attempt]) -> timedelta:
        if open_attempts:
            return self.timings.lost_after
        return self.timings.handover_after if turn.step else self.timings.begin_after

    async def _silence(self, state: SessionState, turn: ActiveTurn, attempts: list[Attempt]) -> timedelta:
        """How long, by the store's clock, no writer of the turn has appended a chunk or renewed its lease."""
        writers = {turn.writer, *(attempt.writer for attempt in attempts)}
        silences = [await self.log.silence(state.session_id, writer) for writer in writers]
        known = [silence for silence in silences if silence is not None]
        return min(known, default=self.clock.now() - turn.changed_at)

    def _note_duration(self, asked: datetime) -> None:
        """Note an outage that a request, made at `asked`, has outlasted."""
        now = self.clock.now()
        if now - asked > _SLOW:
            self._unavailable_at = now

    def _was_unavailable(self, now: datetime) -> bool:
        """Whether the store was unavailable a short time ago.

        Attempts that wait for the store are silent, although they are alive: they write as soon as it is available.
        """
        return self._unavailable_at is not None and now - self._unavailable_at < self.timings.lost_after

    async def _hand_over(self, state: SessionState, turn: ActiveTurn, scheduler: TurnScheduler) -> None:
        """Give the turn to another instance. If the old instance continues later, it finds itself superseded."""
        writer = SessionWriter(self.log, self.clock, state.session_id)
        fence = Fence(turn.turn_id, turn.instance_id)

        async def decide(newest: SessionState) -> Decision[bool]:
            # An event since the silence was measured means that the turn is alive.
            current = fence.turn_in(newest)
            if current is None or newest.head != state.head:
                return Decision(result=False)
            return Decision(True, stall_drafts(current))  # noqa: FBT003

        if await writer.transact(decide):
            instance_id = handover_event(turn).instance_id
            _log.warning("turn %s makes no progress; handed to %s", turn.turn_id, instance_id)
            await scheduler.start(writer.state)

    async def _lose(self, state: SessionState, turn: ActiveTurn, scheduler: TurnScheduler) -> None:
        domain = fault_domain(_LOST.code)
        _log.error("turn %s of session %s is lost, a fault of %s", turn.turn_id, state.session_id, domain)
        fence = Fence(turn.turn_id, turn.instance_id)
        await self.endings.end(state.session_id, fence, EndRequest("failed", _LOST), scheduler)


def _open_attempts(turn: ActiveTurn) -> list[Attempt]:
    """The attempts of the newest step that have begun and are not answered."""
    attempts = [*turn.tools.values(), *([] if turn.call is None else [turn.call])]
    return [attempt for attempt in attempts if not attempt.done]
