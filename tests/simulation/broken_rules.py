"""Replacements of functions of the program, each of which breaks a rule. Each takes the original."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest import mock

from examples.agents.raffle import RAFFLE
from turnlog.agents.declaration import Agent
from turnlog.agents.tools import Tool
from turnlog.domain.chunks import Chunk, Draft, Event
from turnlog.domain.errors import SequenceTakenError
from turnlog.domain.events import MessageQueued, UserMessage
from turnlog.domain.session import SessionState
from turnlog.domain.turn import Fence, Permission
from turnlog.domain.values import Failure, Piece
from turnlog.services.log.writer import SessionWriter
from turnlog.services.turns.endings import Endings, EndRequest
from turnlog.services.turns.repair import Repair


def skip_sequences(original: Any) -> Any:
    """The ninth event of a session gets the tenth sequence."""

    def sequenced(drafts: Sequence[Draft], after: int, at: datetime) -> tuple[Event, ...]:
        return original(drafts, after + (after == 8), at)

    return sequenced


def ignore_gaps(original: Any) -> Any:
    """The fold takes any sequence."""

    def folded(state: SessionState | None, chunks: Sequence[Chunk]) -> SessionState | None:
        for chunk in chunks:
            known = state if state is None else state.model_copy(update={"head": chunk.first - 1})
            state = original(known, (chunk,))
        return state

    return folded


def append_again(original: Any) -> Any:
    """A writer that loses the race appends the same events after the newest one."""

    async def append(self: SessionWriter, drafts: Sequence[Draft], documents: Sequence[Any] = ()) -> Any:
        while True:
            try:
                return await original(self, drafts, documents)
            except SequenceTakenError:
                await self.load()

    return append


def drop_messages(original: Any) -> Any:
    """Some messages are acknowledged and not stored."""

    async def append(self: Any, chunk: Chunk, *others: Any) -> None:
        is_message = isinstance(chunk.events[0].data, UserMessage | MessageQueued)
        if not is_message or chunk.first % 3:
            await original(self, chunk, *others)

    return append


def do_nothing(_: Any) -> Any:
    async def nothing(*_: Any, **__: Any) -> None:
        return None

    return nothing


def repair_once(original: Any) -> Any:
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


def resume_late(original: Any) -> Any:
    """A reader that resumes skips an event."""

    def follow(feed: Any, key: Any, after: int, timeout: Any) -> Any:
        return original(feed, key, after + bool(after), timeout)

    return follow


def hurry(original: Any) -> Any:
    """An execution that should follow another one acts as well."""

    def permission(*arguments: Any) -> Permission:
        found = original(*arguments)
        return Permission.ACT if found is Permission.FOLLOW else found

    return permission


def act_without_append(original: Any) -> Any:
    """An execution acts although the start of its attempt is not in the log."""

    async def claim(log: Any, own: SessionWriter, permission_of: Any, start: Any) -> Permission:
        await own.load()
        found = permission_of(own.state)
        return Permission.ACT if found is Permission.BEGIN else await original(log, own, permission_of, start)

    return claim


def ignore_later_attempts(original: Any) -> Any:
    """An execution continues although a later attempt has begun, or another instance has the turn."""

    def permission(state: SessionState, fence: Fence, *others: Any) -> Permission:
        found = original(state, fence, *others)
        turn = state.active_turn
        is_own = turn is not None and turn.turn_id == fence.turn_id and turn.call is not None
        return Permission.ACT if found is Permission.SUPERSEDED and is_own else found

    return permission


def shorten(original: Any) -> Any:
    """A piece of the answer loses its last character."""

    def delta(request: Any, piece: Piece) -> Any:
        return original(request, replace(piece, text=piece.text[:-1]))

    return delta


def give_up(_: Any) -> Any:
    """An attempt does not wait for the store."""

    async def hold(_: SessionWriter, call: Any) -> Any:
        return await call()

    return hold


def fail_turns(original: Any) -> Any:
    """A turn ends as if its attempt was lost."""

    async def end(self: Endings, session: Any, fence: Fence, request: EndRequest, scheduler: Any) -> Any:
        failure = Failure(code="turn_lost", message="lost")
        return await original(self, session, fence, EndRequest("failed", failure), scheduler)

    return end


def repeat_draws(original: dict[str, Agent]) -> dict[str, Agent]:
    """Lots may be drawn again."""
    tools = [replace(tool, idempotent=True) if isinstance(tool, Tool) else tool for tool in RAFFLE.known_tools]
    return {**original, RAFFLE.name: replace(RAFFLE, tools=tuple(tools))}


def raise_error(_: Any) -> Any:
    """A tool's result cannot be recorded."""

    def completion(*_: Any) -> Any:
        raise ValueError("no result")

    return completion


def do_not_watch(_: Any) -> Any:
    """A working attempt does not follow the log."""

    @asynccontextmanager
    async def watch(*_: Any) -> AsyncGenerator[None]:
        yield

    return watch


def forget_usage(original: Any) -> Any:
    """The writer's fold loses the tokens."""

    def folded(state: SessionState | None, chunks: Any) -> SessionState | None:
        after = original(state, chunks)
        return after if after is None or state is None else after.model_copy(update={"usage": state.usage})

    return folded
