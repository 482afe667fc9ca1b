"""The timer of the sweep, and the check that two sweeps repair what is due."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.clock import moment
from tests.simulation.durable import DurableClient
from tests.simulation.processes import ProcessDiedError
from tests.simulation.world import World
from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.ids import SessionId
from turnlog.domain.session import SessionState
from turnlog.orchestrations.timers import clear, sweep

REPAIRS = "two sweeps repair what is due"

_NOTE_SECONDS = 8.0
"""How often the silent turns are looked for."""
_MARGIN = timedelta(seconds=6)
"""The error of two clocks, and the time that a repair takes."""


@dataclass
class Sweeps:
    """Runs the sweep on its schedule. `due`: the heads of silent turns, and how many clean sweeps have passed since."""

    world: World
    runs: int = 0
    _noted_at: float = 0.0
    _faulty_at: float = 0.0
    due: dict[SessionId, tuple[int, int]] = field(default_factory=dict[SessionId, tuple[int, int]])

    async def run(self) -> None:
        """Sweep until cancelled."""
        seconds = self.world.settings.timings.sweep_seconds
        while True:
            await asyncio.sleep(seconds)
            if not self.due and self.world.loop.time() - self._noted_at >= _NOTE_SECONDS:
                await self._note_due()
            faults = sum(self.world.network.counts.values())
            is_done = await self._sweep()
            is_faulty = faults != sum(self.world.network.counts.values()) or self.world.network.is_down
            now, wait = self.world.loop.time(), self.world.settings.timings.lost_after.total_seconds()
            if is_faulty or not is_done:
                self._faulty_at = now
            # After an outage a sweep gives attempts that wait for the store some time.
            is_clean = now - self._faulty_at > wait
            await self._check(is_clean=is_clean)

    async def _sweep(self) -> bool:
        """Run one sweep. False if it was not finished."""
        process = self.world.fleet.pick("timer")
        if process is None or not process.is_running:
            return False
        try:
            client: Any = DurableClient(self.world.durable)
            await process.call(lambda: sweep(client))
            await process.call(lambda: clear(client))
        except (ProcessDiedError, StoreUnavailableError):
            return False
        self.runs += 1
        return True

    async def _note_due(self) -> None:
        """Note the turns that have been silent for so long that a sweep has to act."""
        self._noted_at = self.world.loop.time()
        for session in self.world.sessions:
            state = await self.world.state(session)
            if state is not None and await self._is_silent(state):
                self.due[session] = state.head, 0

    async def _is_silent(self, state: SessionState) -> bool:
        turn = state.active_turn
        if turn is None or turn.parked or state.deleted:
            return False
        writers = {attempt.writer for attempt in turn.tools.values()}
        writers |= set() if turn.call is None else {turn.call.writer}
        newest = await self.world.truth.log.read(state.session_id, state.head - 1, 1)
        writers |= {chunk.writer for chunk in newest}
        silences = [await self.world.truth.log.silence(state.session_id, writer) for writer in writers]
        silence = min((each for each in silences if each is not None), default=timedelta(0))
        max_silence = self.world.settings.timings.begin_after * 2 ** (turn.generation - turn.running_generation)
        return min(silence, self._now - state.updated_at) > max_silence + _MARGIN

    @property
    def _now(self) -> datetime:
        return moment(self.world.loop.time())

    async def _check(self, *, is_clean: bool) -> None:
        for session, (head, passed) in list(self.due.items()):
            state = await self.world.state(session)
            if state is None or state.head != head or not is_clean:
                del self.due[session]
            elif passed:
                self.world.report(REPAIRS, f"{session} is silent at {head} after two sweeps")
            else:
                self.due[session] = head, passed + 1
