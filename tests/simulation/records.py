"""What is stored of a session at the end: its chunks, its events by turn, and who wrote them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from tests.simulation.clock import moment
from tests.simulation.world import World
from turnlog.domain.chunks import Chunk, Event
from turnlog.domain.events import MessageStart, RunComplete, RunHandover, ToolCallStart
from turnlog.domain.fold import fold
from turnlog.domain.ids import MessageId, SessionId, TurnId, WriterId, instance_of
from turnlog.domain.session import ActiveTurn, SessionState

_PAGE = 1000


@dataclass
class TurnRecord:
    """The events of a turn, each with its writer. `last` is the turn as it was before its end."""

    turn_id: TurnId
    message_id: MessageId
    events: list[tuple[Event, WriterId]] = field(default_factory=list[tuple[Event, WriterId]])
    last: ActiveTurn | None = None

    @property
    def end(self) -> tuple[Event, RunComplete] | None:
        for event, _ in self.events:
            if isinstance(event.data, RunComplete):
                return event, event.data
        return None

    def instances(self) -> dict[tuple[int | str, int], str]:
        """The instance to which the turn belonged when each attempt at a step or a tool call began."""
        found: dict[tuple[int | str, int], str] = {}
        instance: str = instance_of(self.turn_id, 1)
        for event, _ in self.events:
            match event.data:
                case RunHandover(instance_id=replacing):
                    instance = replacing
                case MessageStart(step=step, attempt=attempt):
                    found[step, attempt] = instance
                case ToolCallStart(id=call_id, attempt=attempt):
                    found[call_id, attempt] = instance
                case _:
                    pass
        return found

    def starts(self, step: int) -> list[tuple[int, float, WriterId]]:
        """The attempts at a step: number, time and writer, in the order in which they began."""
        return [
            (event.data.attempt, seconds(event.timestamp), writer)
            for event, writer in self.events
            if isinstance(event.data, MessageStart) and event.data.step == step
        ]

    def tool_starts(self, call_id: str) -> list[tuple[int, float, WriterId]]:
        return [
            (event.data.attempt, seconds(event.timestamp), writer)
            for event, writer in self.events
            if isinstance(event.data, ToolCallStart) and event.data.id == call_id
        ]


@dataclass
class SessionRecord:
    """All that is stored of a session's log."""

    session_id: SessionId
    state: SessionState | None
    chunks: Sequence[Chunk]
    turns: dict[TurnId, TurnRecord]

    @property
    def events(self) -> list[Event]:
        return [event for chunk in self.chunks for event in chunk.events]


async def load_record(world: World, session_id: SessionId) -> SessionRecord:
    """Read a session."""
    log = world.truth.log
    state = await world.state(session_id)
    chunks = list[Chunk]()
    while page := await log.read(session_id, chunks[-1].last if chunks else 0, _PAGE):
        chunks += page
    record = SessionRecord(session_id, state, chunks, {})
    folded: SessionState | None = None
    for chunk in chunks:
        for event in chunk.events:
            if event.turn_id is not None and event.message_id is not None:
                turn = record.turns.setdefault(event.turn_id, TurnRecord(event.turn_id, event.message_id))
                turn.events.append((event, chunk.writer))
                if isinstance(event.data, RunComplete) and folded is not None:
                    turn.last = folded.active_turn
        with suppress(ValueError):  # a gap, which is reported
            folded = fold(folded, (chunk,))
    return record


def seconds(at: datetime) -> float:
    """Seconds since the beginning."""
    return (at - moment(0)).total_seconds()
