"""The oracles of attempts: who writes, who calls the model and tools, and what is billed."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from examples.agents.raffle import RAFFLE
from tests.simulation.observations import ModelCall
from tests.simulation.records import SessionRecord, TurnRecord, seconds
from tests.simulation.world import World
from turnlog.agents.tools import Tool
from turnlog.domain.events import (
    EventData,
    MessageComplete,
    MessageDelta,
    MessageStart,
    RunComplete,
    Status,
    ToolCallStart,
)

ONE_WRITER = "each attempt has one writer"
SUPERSEDED = "a superseded execution calls nothing"
ONE_STREAM = "a turn has one live stream"
BILLED = "no more calls are billed than attempts began"
STRICT_OUTAGES = "an outage bills nothing twice"
TEXT = "the pieces are the text"
ONCE = "what may not be repeated runs once"

_NOT_REPEATED = {tool.name for tool in RAFFLE.known_tools if isinstance(tool, Tool) and not tool.idempotent}
_GRACE_SECONDS = 20.0
"""How long an execution may need to notice that it is superseded, while it runs and the store answers."""


def check_attempts(world: World, turn: TurnRecord) -> None:
    """Check the writers and the texts of a turn's attempts, by its log alone."""
    attempts = _Attempts(world, turn)
    for event, writer in turn.events:
        attempts.add(event.data, writer)


@dataclass
class _Attempts:
    """The attempts of a turn up to an event: who began each, what it wrote, and the newest attempt at a step."""

    world: World
    turn: TurnRecord
    newest: tuple[int, int] = (0, 0)
    begun: dict[tuple[object, int], str] = field(default_factory=dict[tuple[object, int], str])
    texts: defaultdict[tuple[int, int], str] = field(default_factory=lambda: defaultdict[tuple[int, int], str](str))

    def add(self, data: EventData, writer: str) -> None:
        match data:
            case MessageStart(step=step, attempt=attempt):
                self.newest = step, attempt
                self._begin(step, attempt, writer)
            case ToolCallStart(id=call_id, attempt=attempt):
                self._begin(call_id, attempt, writer)
            case MessageDelta() as delta:
                self._add_delta(delta, writer)
            case MessageComplete() as complete:
                self._complete(complete, writer)
            case _:
                pass

    def _begin(self, what: object, attempt: int, writer: str) -> None:
        if self.begun.setdefault((what, attempt), writer) != writer:
            self._report(ONE_WRITER, f"{what} attempt {attempt} began twice")

    def _add_delta(self, delta: MessageDelta, writer: str) -> None:
        key = delta.step, delta.attempt
        self.texts[key] += delta.text
        if self.newest != key or self.begun.get(key) != writer:
            self._report(ONE_WRITER, f"step {delta.step} attempt {delta.attempt} is written by another")

    def _complete(self, complete: MessageComplete, writer: str) -> None:
        key = complete.step, complete.attempt
        if not complete.partial and self.begun.get(key) != writer:
            self._report(ONE_WRITER, f"step {complete.step} attempt {complete.attempt} is completed by another")
        if complete.overflow is None and not complete.truncated and self.texts[key] != complete.text:
            self._report(TEXT, f"step {complete.step}: {self.texts[key]!r} is not {complete.text!r}")

    def _report(self, oracle: str, text: str) -> None:
        self.world.report(oracle, f"{self.turn.turn_id} {text}")


def check_calls(world: World, record: SessionRecord) -> None:
    """Check the calls of the model and the runs of tools that were observed against the log."""
    by_step: defaultdict[tuple[str, int], list[ModelCall]] = defaultdict(list)
    for call in world.observations.model_calls:
        turn = record.turns.get(call.execution.turn_id)  # pyright: ignore[reportArgumentType]
        if turn is not None:
            by_step[call.execution.turn_id, call.execution.step].append(call)
            _check_call(world, turn, call)
    for (turn_id, step), calls in by_step.items():
        _check_step(world, record.turns[turn_id], step, calls)  # pyright: ignore[reportArgumentType]
    _check_tools(world, record)


def _check_call(world: World, turn: TurnRecord, call: ModelCall) -> None:
    """The attempt of the call is in the log, and the call ended soon after the attempt had to stop."""
    key = call.execution
    if key.attempt not in {number for number, _, _ in turn.starts(key.step)}:
        world.report(SUPERSEDED, f"{key} called the model without a start in the log")
        return
    if turn.instances()[key.step, key.attempt] != key.instance_id:
        world.report(SUPERSEDED, f"{key} called the model although its instance was replaced")
    over_at = _stop_at(turn, key.step, key.attempt)
    if over_at is None:
        return
    ended_at = call.closed_at or world.loop.time()
    allowed = over_at + _GRACE_SECONDS + call.process.frozen_seconds + world.fleet.outage_seconds(over_at, ended_at)
    if call.began_at > allowed:
        world.report(SUPERSEDED, f"{key} called the model {call.began_at - over_at:.0f} s after it had to stop")
    elif ended_at > allowed:
        world.report(ONE_STREAM, f"{key} streamed for {ended_at - over_at:.0f} s after it had to stop")


def _stop_at(turn: TurnRecord, step: int, attempt: int) -> float | None:
    """When the attempt had to stop: a later one began, or the turn was cancelled, or it ended."""
    has_begun = False
    for event, _ in turn.events:
        match event.data:
            case MessageStart() as start if not has_begun:
                has_begun = (start.step, start.attempt) == (step, attempt)
            case MessageStart() | Status(status="cancelling") | RunComplete() if has_begun:
                return seconds(event.timestamp)
            case _:
                pass
    return None


def _check_step(world: World, turn: TurnRecord, step: int, calls: list[ModelCall]) -> None:
    executions: defaultdict[int, set[int]] = defaultdict(set)
    for call in calls:
        executions[call.execution.attempt].add(call.execution.number)
    for attempt, numbers in executions.items():
        if len(numbers) > 1:
            world.report(SUPERSEDED, f"{turn.turn_id} step {step} attempt {attempt}: {len(numbers)} executions called")
    billed = [call for call in calls if call.is_billed]
    if len(billed) > len(turn.starts(step)):
        world.report(BILLED, f"{turn.turn_id} step {step}: {len(billed)} billed, {len(turn.starts(step))} began")
    if world.profile.name in {"calm", "outages"}:
        repeated = len(billed) - sum(call.broke_off for call in billed)
        if repeated > 1:
            world.report(STRICT_OUTAGES, f"{turn.turn_id} step {step} was billed {repeated} times")


def _check_tools(world: World, record: SessionRecord) -> None:
    runs: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    once = Counter[str]()
    for run in world.observations.tool_runs:
        turn, call_id = record.turns.get(run.execution.turn_id), run.execution.call_id  # pyright: ignore[reportArgumentType]
        if turn is None or call_id is None:
            continue
        runs[call_id, run.execution.attempt].add(run.execution.number)
        if run.tool in _NOT_REPEATED:
            once[call_id] += 1
        if run.execution.attempt not in {number for number, _, _ in turn.tool_starts(call_id)}:
            world.report(SUPERSEDED, f"{call_id} attempt {run.execution.attempt} ran without a start in the log")
        elif turn.instances()[call_id, run.execution.attempt] != run.execution.instance_id:
            world.report(SUPERSEDED, f"{call_id} ran although its instance was replaced")
    for call_id in (call_id for call_id, count in once.items() if count > 1):
        world.report(ONCE, f"{call_id} ran {once[call_id]} times")
    for (call_id, attempt), numbers in runs.items():
        if len(numbers) > 1:
            world.report(SUPERSEDED, f"{call_id} attempt {attempt}: {len(numbers)} executions ran the tool")
