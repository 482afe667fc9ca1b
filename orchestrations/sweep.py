"""Timer: repairs what died between two lines, and clears what was deleted."""

import logging
from datetime import datetime, timedelta

import azure.durable_functions as df

from shared.domain.faults import fault_domain
from shared.domain.session import ActiveTurn, SessionState
from shared.domain.turn import Fence, handover_event
from shared.domain.values import Failure
from shared.ports import TurnScheduler
from shared.scheduler import DurableTurnScheduler
from shared.services.turns.attempts import turn_drafts
from shared.services.turns.endings import EndRequest
from shared.services.turns.taking_up import start_of
from shared.services.writer import Decision, SessionWriter
from shared.telemetry.logs import log_failures
from shared.wiring import Services, services

_MOST_SESSIONS = 500
_MOST_PROJECTS = 50
_LOST = Failure(code="turn_lost", message="The turn stood still until its deadline was over.", retryable=True)

_log = logging.getLogger(__name__)


@log_failures
async def sweep(client: df.DurableOrchestrationClient) -> None:
    """Look at every session that may need it, and at every deleted project. Two sweeps at once do no harm."""
    on = services()
    scheduler = DurableTurnScheduler(client, on.settings)
    repair = _Repair(on, scheduler, on.clock.now())
    for state in await on.log.due_for_repair(repair.now, _MOST_SESSIONS):
        try:
            await repair.mend(state)
        except Exception:  # noqa: BLE001  # one session that can't be mended must not keep the others from it
            _log.exception("session %s could not be mended; the next sweep tries again", state.session_id)
    for mark in await on.project_store.deleted_with_sessions(_MOST_PROJECTS):
        try:
            await on.projects.sweep(mark, on.settings.timings.clear_after)
        except Exception:  # noqa: BLE001  # nor must a project that can't be emptied
            _log.exception("project %s could not be emptied; the next sweep tries again", mark.id)
    await on.model()  # imported here, off the path of whoever posts the first message


class _Repair:
    def __init__(self, on: Services, scheduler: TurnScheduler, now: datetime) -> None:
        self._on = on
        self._scheduler = scheduler
        self.now = now

    async def mend(self, stored: SessionState) -> None:
        timings = self._on.settings.timings
        if stored.deleted:
            if self.now - stored.updated_at >= timings.clear_after:
                await self._on.log.clear(stored.session_id)
            return
        if not stored.is_complete:
            await self._on.forks.abandon(stored.session_id)
            return
        turn = stored.active_turn
        if turn is not None and turn.parked:
            await self._expire(stored, turn)
        elif turn is not None and self.now - stored.updated_at >= timings.start_grace:
            await self._mend_running(stored, turn)

    async def _expire(self, stored: SessionState, turn: ActiveTurn) -> None:
        """Nobody acted in time: what the turn waits for is denied, and it goes on."""
        start = await self._on.actions.expire(stored.session_id, turn.turn_id)
        if start is not None:
            await self._scheduler.start(start)

    async def _mend_running(self, stored: SessionState, turn: ActiveTurn) -> None:
        state = await self._on.log.state(stored.session_id)
        if state is not None and state.active_turn is not None and state.active_turn.turn_id == turn.turn_id:
            await self._mend_turn(state, state.active_turn)

    async def _mend_turn(self, state: SessionState, turn: ActiveTurn) -> None:
        timings = self._on.settings.timings
        deadline = turn.running_since + self._on.turn_timeout
        silence = await self._silence(state, turn)
        patience = timings.handover_after * 2 ** (turn.generation - turn.running_generation)
        if self.now > deadline + patience and silence >= timings.dead_after:
            await self._lose(state, turn)
        elif silence >= patience:
            await self._hand_over(state, turn)
        elif silence >= timings.start_grace and not await self._scheduler.exists(turn.instance_id):
            _log.warning("turn %s: instance %s was never started; starting it", turn.turn_id, turn.instance_id)
            await self._start(state)

    async def _start(self, state: SessionState) -> None:
        start = start_of(state, self._on.turn_timeout)
        if start is not None:
            await self._scheduler.start(start)

    async def _silence(self, state: SessionState, turn: ActiveTurn) -> timedelta:
        """How long nothing has been heard of the turn: no chunk, no lease."""
        heard = [self.now - state.updated_at]
        attempts = [*turn.tools.values(), *([] if turn.call is None else [turn.call])]
        for writer in {attempt.writer for attempt in attempts}:
            silence = await self._on.log.silence(state.session_id, writer)
            heard += [] if silence is None else [silence]
        return min(heard)

    async def _hand_over(self, state: SessionState, turn: ActiveTurn) -> None:
        """Give the turn to another instance: the old one, if it wakes, finds itself superseded."""
        writer = SessionWriter(self._on.log, self._on.clock, state.session_id)
        await writer.load()
        fence = Fence(turn.turn_id, turn.instance_id)
        given = handover_event(turn)

        async def decide(now: SessionState) -> Decision[bool]:
            # Anything new since we judged its silence means that it lives.
            silent = fence.turn_in(now) is not None and now.head == state.head
            return Decision(silent, turn_drafts(now, given) if silent else ())

        if await writer.settle(decide):
            _log.warning("turn %s stands still; handed to %s", turn.turn_id, given.instance_id)
            await self._start(writer.state)

    async def _lose(self, state: SessionState, turn: ActiveTurn) -> None:
        domain = fault_domain(_LOST.code)
        _log.error("turn %s of session %s is lost, a fault of %s", turn.turn_id, state.session_id, domain)
        verdict = EndRequest("failed", _LOST)
        end = await self._on.endings.end(state.session_id, Fence(turn.turn_id, turn.instance_id), verdict)
        if end.following is not None:
            await self._scheduler.start(end.following)
