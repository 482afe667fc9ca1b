"""Repair: finishes what was interrupted when a process died, and clears what was deleted."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.faults import fault_domain
from shared.domain.session import ActiveTurn, SessionState
from shared.domain.turn import Fence
from shared.domain.turn_events import handover_event, stall_drafts
from shared.domain.values import Failure
from shared.ports import Clock, ProjectStore, SessionLog, TurnScheduler
from shared.services.fork import Forks
from shared.services.projects.projects import Projects
from shared.services.turns.approvals import Approvals
from shared.services.turns.endings import Endings, EndRequest
from shared.services.writer import Decision, SessionWriter
from shared.timings import Timings

_MAX_SESSIONS = 500
_MAX_PROJECTS = 50
_LOST = Failure(code="turn_lost", message="The turn made no progress until its deadline was over.", retryable=True)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repair:
    """Repairs sessions. Two repairs at once do no harm."""

    log: SessionLog
    clock: Clock
    forks: Forks
    approvals: Approvals
    endings: Endings
    timings: Timings
    turn_timeout: timedelta

    async def sweep(self, scheduler: TurnScheduler) -> None:
        """Repair every session that is due."""
        now = self.clock.now()
        for state in await self.log.due_for_repair(now, _MAX_SESSIONS):
            try:
                await self._repair(state, now, scheduler)
            except Exception:  # noqa: BLE001  # a session that cannot be repaired must not keep the others waiting
                _log.exception("session %s could not be repaired; the next sweep tries again", state.session_id)

    async def _repair(self, stored: SessionState, now: datetime, scheduler: TurnScheduler) -> None:
        if stored.deleted:
            if now - stored.updated_at >= self.timings.clear_after:
                await self.log.clear(stored.session_id)
            return
        if not stored.is_complete:
            await self.forks.abandon(stored.session_id)
            return
        turn = stored.active_turn
        if turn is not None and turn.parked:
            await self.approvals.expire(stored.session_id, turn.turn_id, scheduler)
        elif turn is not None and now - stored.updated_at >= self.timings.start_grace:
            state = await self.log.state(stored.session_id)
            if state is not None and state.active_turn is not None and state.active_turn.turn_id == turn.turn_id:
                await self._repair_turn(state, state.active_turn, now, scheduler)

    async def _repair_turn(
        self, state: SessionState, turn: ActiveTurn, now: datetime, scheduler: TurnScheduler
    ) -> None:
        silence = await self._silence(state, turn, now)
        max_silence = self.timings.handover_after * 2 ** (turn.generation - turn.running_generation)
        deadline = turn.running_since + self.turn_timeout
        if now > deadline + max_silence and silence >= self.timings.lost_after:
            await self._lose(state, turn, scheduler)
        elif silence >= max_silence:
            await self._hand_over(state, turn, scheduler)
        elif silence >= self.timings.start_grace and not await scheduler.exists(turn.instance_id):
            _log.warning("turn %s: instance %s was never started; starting it", turn.turn_id, turn.instance_id)
            await scheduler.start(state)

    async def _silence(self, state: SessionState, turn: ActiveTurn, now: datetime) -> timedelta:
        """How long the turn has appended no chunk and renewed no lease."""
        silences = [now - state.updated_at]
        attempts = [*turn.tools.values(), *([] if turn.call is None else [turn.call])]
        for writer in {attempt.writer for attempt in attempts}:
            silence = await self.log.silence(state.session_id, writer)
            silences += [] if silence is None else [silence]
        return min(silences)

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


@dataclass(frozen=True)
class ProjectRepair:
    """Deletes the sessions of deleted projects."""

    store: ProjectStore
    projects: Projects
    clear_after: timedelta

    async def sweep(self) -> None:
        for project in await self.store.deleted_with_sessions(_MAX_PROJECTS):
            try:
                await self.projects.sweep(project, self.clear_after)
            except Exception:  # noqa: BLE001  # a project that cannot be emptied must not keep the others waiting
                _log.exception("project %s could not be emptied; the next sweep tries again", project.id)
