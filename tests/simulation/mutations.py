"""Mutations: each breaks one rule of the program on purpose, and names the oracle that has to detect it."""

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from unittest import mock

from shared.agents import registry
from shared.agents.declaration import Agent
from shared.agents.raffle import RAFFLE
from shared.agents.tools import Tool
from shared.domain.chunks import Chunk, Draft, Event
from shared.domain.errors import SequenceTakenError, StoreUnavailableError
from shared.domain.session import SessionState
from shared.domain.turn import Fence, Permission
from shared.domain.values import Failure, Piece
from shared.services import stream, writer
from shared.services.projects.patches import ProjectPatches
from shared.services.turns import model_calls, tool_calls
from shared.services.turns.attempts import Guard
from shared.services.turns.endings import Endings, EndRequest
from shared.services.turns.repair import Repair
from shared.services.writer import SessionWriter
from shared.stores.cosmos.log import CosmosSessionLog
from shared.stores.sqlite.log import SqliteSessionLog
from tests.simulation import attempt_oracles, oracles, project_oracles, sweeps, world
from tests.simulation.world import Options

_LOGS = (SqliteSessionLog, CosmosSessionLog)


@dataclass(frozen=True)
class Mutation:
    """`replaced`: the attributes to replace, by their owner and name. `options`: when it matters."""

    name: str
    oracle: str
    replaced: Sequence[tuple[Any, str, Callable[[Any], Any]]]
    options: Options | None = None

    @contextmanager
    def applied(self) -> Generator[None]:
        """While this is open, the rule is broken."""
        with ExitStack() as patches:
            for owner, name, replacement in self.replaced:
                patches.enter_context(mock.patch.object(owner, name, replacement(getattr(owner, name))))
            yield


def _skip_sequences(original: Any) -> Any:
    """The ninth event of a session gets the tenth sequence."""

    def sequenced(drafts: Sequence[Draft], after: int, at: datetime) -> tuple[Event, ...]:
        return original(drafts, after + (after == 8), at)

    return sequenced


def _ignore_gaps(original: Any) -> Any:
    """The fold takes any sequence."""

    def folded(state: SessionState | None, chunks: Sequence[Chunk]) -> SessionState | None:
        for chunk in chunks:
            known = state if state is None else state.model_copy(update={"head": chunk.first - 1})
            state = original(known, (chunk,))
        return state

    return folded


def _append_again(original: Any) -> Any:
    """A writer that loses the race appends the same events after the newest one."""

    async def append(self: SessionWriter, drafts: Sequence[Draft], documents: Sequence[Any] = ()) -> Any:
        while True:
            try:
                return await original(self, drafts, documents)
            except SequenceTakenError:
                await self.load()

    return append


def _lose_refused_writes(original: Any) -> Any:
    """A write that the store did not take is acknowledged."""

    async def append(self: Any, chunk: Chunk, *others: Any) -> None:
        try:
            await original(self, chunk, *others)
        except StoreUnavailableError:
            return

    return append


def _do_nothing(_: Any) -> Any:
    async def nothing(*_: Any, **__: Any) -> None:
        return None

    return nothing


def _repair_once(original: Any) -> Any:
    """The sweep examines no session that was repaired before."""
    seen: set[str] = set()

    async def sweep(self: Repair, scheduler: Any) -> None:
        due_for_repair = type(self.log).due_for_repair

        async def fresh(log: Any, by: datetime) -> AsyncGenerator[SessionState]:
            async for state in due_for_repair(log, by):
                if state.session_id not in seen:
                    seen.add(state.session_id)
                    yield state

        with mock.patch.object(type(self.log), "due_for_repair", fresh):
            await original(self, scheduler)

    return sweep


def _resume_late(original: Any) -> Any:
    """A reader that resumes skips an event."""

    def follow(feed: Any, key: Any, after: int, timeout: Any) -> Any:
        return original(feed, key, after + bool(after), timeout)

    return follow


def _hurry(original: Any) -> Any:
    """An execution that should follow another one acts as well."""

    def permission(*arguments: Any) -> Permission:
        found = original(*arguments)
        return Permission.ACT if found is Permission.FOLLOW else found

    return permission


def _act_without_append(original: Any) -> Any:
    """An execution acts although the start of its attempt is not in the log."""

    async def claim(log: Any, own: SessionWriter, permission_of: Any, start: Any) -> Permission:
        await own.load()
        found = permission_of(own.state)
        return Permission.ACT if found is Permission.BEGIN else await original(log, own, permission_of, start)

    return claim


def _ignore_later_attempts(original: Any) -> Any:
    """An execution continues although a later attempt has begun."""

    def permission(state: SessionState, fence: Fence, *others: Any) -> Permission:
        found = original(state, fence, *others)
        return Permission.ACT if found is Permission.SUPERSEDED and fence.turn_in(state) else found

    return permission


def _shorten(original: Any) -> Any:
    """A piece of the answer loses its last character."""

    def delta(request: Any, piece: Piece) -> Any:
        return original(request, replace(piece, text=piece.text[:-1]))

    return delta


def _call_outages_faults(original: Any) -> Any:
    """An attempt cannot distinguish an outage of the store from a fault of its own."""

    async def append(self: SessionWriter, *arguments: Any) -> Any:
        try:
            return await original(self, *arguments)
        except StoreUnavailableError as error:
            raise RuntimeError("the store is away") from error

    return append


def _fail_turns(original: Any) -> Any:
    """A turn ends as if its attempt was lost."""

    async def end(self: Endings, session: Any, fence: Fence, request: EndRequest, scheduler: Any) -> Any:
        failure = Failure(code="attempt_lost", message="lost")
        return await original(self, session, fence, EndRequest("failed", failure), scheduler)

    return end


def _repeat_draws(original: dict[str, Agent]) -> dict[str, Agent]:
    """Lots may be drawn again."""
    tools = [replace(tool, idempotent=True) if isinstance(tool, Tool) else tool for tool in RAFFLE.tools]
    return {**original, RAFFLE.name: replace(RAFFLE, tools=tuple(tools))}


def _raise_error(_: Any) -> Any:
    """A tool's result cannot be recorded."""

    def completion(*_: Any) -> Any:
        raise ValueError("no result")

    return completion


def _do_not_watch(_: Any) -> Any:
    """A working attempt does not follow the log."""

    @asynccontextmanager
    async def watch(*_: Any) -> AsyncGenerator[None]:
        yield

    return watch


def _forget_usage(original: Any) -> Any:
    """The writer's fold loses the tokens."""

    def folded(state: SessionState | None, chunks: Any) -> SessionState | None:
        after = original(state, chunks)
        return after if after is None or state is None else after.model_copy(update={"usage": state.usage})

    return folded


MUTATIONS = (
    Mutation(
        "sequences have a gap", world.GAP_FREE, [(writer, "sequenced", _skip_sequences), (writer, "fold", _ignore_gaps)]
    ),
    Mutation("a lost race is repeated blindly", oracles.NOTHING_AFTER_END, [(SessionWriter, "append", _append_again)]),
    Mutation(
        "a refused write is acknowledged",
        oracles.ACKNOWLEDGED,
        [(log, "append", _lose_refused_writes) for log in _LOGS],
        Options(profile="outages"),
    ),
    Mutation("the sweep does nothing", oracles.ENDS, [(Repair, "sweep", _do_nothing)]),
    Mutation("the sweep repairs a session once", sweeps.REPAIRS, [(Repair, "sweep", _repair_once)]),
    Mutation("a reader resumes late", oracles.READERS, [(stream, "follow", _resume_late)]),
    Mutation(
        "an execution acts beside another",
        attempt_oracles.SUPERSEDED,
        [(model_calls, "permission_for_step", _hurry), (tool_calls, "permission_for_tool", _hurry)],
    ),
    Mutation(
        "an attempt does not begin in the log",
        attempt_oracles.BILLED,
        [(model_calls, "claim_attempt", _act_without_append)],
    ),
    Mutation("an attempt does not follow the log", attempt_oracles.ONE_STREAM, [(Guard, "watch", _do_not_watch)]),
    Mutation(
        "a turn forgets what changed its project",
        project_oracles.PROJECTS,
        [(ProjectPatches, "find_change", _do_nothing)],
        Options(agent="vibecoder"),
    ),
    Mutation(
        "an execution ignores later attempts",
        attempt_oracles.ONE_WRITER,
        [(model_calls, "permission_for_step", _ignore_later_attempts)],
    ),
    Mutation(
        "lots are drawn again",
        attempt_oracles.ONCE,
        [(registry, "AGENTS", _repeat_draws)],
        Options(profile="kills", agent="raffle"),
    ),
    Mutation("a piece is shortened", attempt_oracles.TEXT, [(model_calls, "delta_of", _shorten)]),
    Mutation(
        "an outage counts as a fault",
        attempt_oracles.STRICT_OUTAGES,
        [(SessionWriter, "append", _call_outages_faults)],
        Options(profile="outages", strict_outages=True),
    ),
    Mutation(
        "a turn fails with its process",
        oracles.STRICT_ATTEMPTS,
        [(Endings, "end", _fail_turns)],
        Options(strict_attempts=True),
    ),
    Mutation("a deleted session is not cleared", oracles.DELETED, [(log, "clear", _do_nothing) for log in _LOGS]),
    Mutation("a result cannot be recorded", oracles.EXPECTED, [(tool_calls, "tool_completion", _raise_error)]),
    Mutation("the fold loses tokens", oracles.DOCUMENTS, [(writer, "fold", _forget_usage)]),
)
"""One for each oracle, or more."""
