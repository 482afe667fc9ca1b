"""Budgets of projects: what running calls reserve, and that no crash and no race loses or leaks a token."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import create_session, post_message
from tests.domain.factories import OWNER
from turnlog.domain.budget import Budget
from turnlog.domain.errors import BudgetExceededError
from turnlog.domain.events import TokenUsage
from turnlog.domain.ids import ProjectId
from turnlog.domain.turn_events import turn_drafts
from turnlog.services.log.writer import SessionWriter
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

TURN = timedelta(minutes=15)
_KILLED: list[AsyncExitStack] = []
"""Without a reference to it, a call would be ended by the collector."""


async def _new_project(app: Services, total_tokens: int | None) -> ProjectId:
    budget = None if total_tokens is None else Budget(total_tokens=total_tokens)
    return (await app.projects.create(OWNER, "Budget", budget=budget))[0].id


async def _writers(app: Services, project_id: ProjectId, count: int) -> Sequence[SessionWriter]:
    """Writers of sessions in the project, each with a running turn."""
    writers = list[SessionWriter]()
    for _ in range(count):
        session = await create_session(app, project_id=project_id)
        await post_message(app, session)
        writers.append(SessionWriter(app.log, app.clock, session))
        await writers[-1].load()
    return writers


async def _use(writer: SessionWriter, tokens: int) -> None:
    """Append what a model call of the writer's session has used."""
    counts: dict[str, Any] = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
    turn = writer.state.active_turn
    assert turn is not None
    await writer.append(turn_drafts(turn, TokenUsage(**counts, model="m", agent="a", iteration=1)))


async def _begin(app: Services, writer: SessionWriter, tokens: int) -> AsyncExitStack:
    """Reserve for a call. The caller closes what is returned."""
    stack = AsyncExitStack()
    await stack.enter_async_context(app.budgets.reserved(writer, tokens, app.clock.now() + TURN))
    return stack


async def _begin_and_kill(app: Services, writer: SessionWriter, tokens: int) -> None:
    """Reserve for a call whose process is killed: nothing after the reservation runs."""
    _KILLED.append(await _begin(app, writer, tokens))


async def _is_allowed(app: Services, writer: SessionWriter, tokens: int = 10) -> bool:
    """Whether the session may call its model now. The call uses nothing."""
    try:
        await (await _begin(app, writer, tokens)).aclose()
    except BudgetExceededError:
        return False
    return True


async def _used(app: Services, project_id: ProjectId) -> int:
    ledger = await app.project_store.ledger(project_id)
    assert ledger is not None
    return ledger.used


async def test_two_sessions_cannot_both_spend_the_last_tokens(app: Services) -> None:
    first, second = await _writers(app, await _new_project(app, 1000), 2)

    running = await _begin(app, first, 5000)
    assert not await _is_allowed(app, second)

    await running.aclose()
    assert await _is_allowed(app, second)


async def test_of_many_calls_at_once_as_many_are_allowed_as_their_reservations_fit(app: Services) -> None:
    writers = await _writers(app, await _new_project(app, 1000), 12)

    begun = await asyncio.gather(*(_begin(app, writer, 250) for writer in writers), return_exceptions=True)

    refused = [result for result in begun if isinstance(result, BudgetExceededError)]
    for running in begun:
        if isinstance(running, AsyncExitStack):
            await running.aclose()
    assert (len(begun), len(refused)) == (12, 8)
    assert "reserved by running turns" in str(refused[0])


async def test_what_a_call_used_is_counted_once(app: Services) -> None:
    project_id = await _new_project(app, 1000)
    first, second = await _writers(app, project_id, 2)

    for _ in range(2):
        running = await _begin(app, first, 10)
        await _use(first, 300)
        await running.aclose()

    assert await _used(app, project_id) == 600
    running = await _begin(app, second, 10)
    await _use(second, 450)
    await running.aclose()
    assert await _used(app, project_id) == 1050
    assert not await _is_allowed(app, first)


async def test_the_reservation_of_a_killed_process_expires_and_its_tokens_count(app: Services, clock: Clock) -> None:
    project_id = await _new_project(app, 1000)
    killed, other = await _writers(app, project_id, 2)
    await _begin_and_kill(app, killed, 5000)
    await _use(killed, 400)

    assert not await _is_allowed(app, other)
    clock.move(TURN + timedelta(minutes=2))

    assert await _is_allowed(app, other)
    assert await _used(app, project_id) == 400


async def test_another_attempt_of_a_killed_call_has_its_reservation_at_once(app: Services) -> None:
    project_id = await _new_project(app, 1000)
    (writer,) = await _writers(app, project_id, 1)
    await _begin_and_kill(app, writer, 5000)
    await _use(writer, 400)

    assert await _is_allowed(app, writer)
    assert await _used(app, project_id) == 400


async def test_what_was_used_before_there_was_a_budget_counts(app: Services) -> None:
    project_id = await _new_project(app, None)
    first, second = await _writers(app, project_id, 2)
    assert await _is_allowed(app, first)
    await _use(first, 600)

    await app.projects.update(OWNER, project_id, {"budget": {"total_tokens": 600}})

    assert not await _is_allowed(app, second)


async def test_a_call_that_reserved_nothing_is_counted_later(app: Services, clock: Clock) -> None:
    project_id = await _new_project(app, 1000)
    first, second = await _writers(app, project_id, 2)
    assert await _is_allowed(app, second)
    await _use(first, 2000)

    clock.move(timedelta(minutes=11))

    assert not await _is_allowed(app, second)


async def test_a_deleted_session_still_counts(app: Services) -> None:
    project_id = await _new_project(app, 1000)
    first, second = await _writers(app, project_id, 2)
    await _use(first, 1000)
    await app.sessions.delete(OWNER, first.session_id, None)

    assert not await _is_allowed(app, second)


async def test_a_session_without_a_project_never_asks_for_one(app: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: ProjectId) -> None:
        raise AssertionError("the store was asked")

    monkeypatch.setattr(app.project_store, "get", fail)
    for project_id in (None, "only a label"):
        writer = SessionWriter(app.log, app.clock, await create_session(app, project_id=project_id))
        await writer.load()
        assert await _is_allowed(app, writer)


async def test_a_project_without_a_budget_is_read_once_in_ten_seconds(
    app: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_id = await _new_project(app, None)
    (writer,) = await _writers(app, project_id, 1)
    get, reads = app.project_store.get, list[ProjectId]()

    async def count(read: ProjectId) -> Any:
        reads.append(read)
        return await get(read)

    monkeypatch.setattr(app.project_store, "get", count)
    clock.move(timedelta(seconds=11))
    for _ in range(3):
        assert await _is_allowed(app, writer)

    assert reads == [project_id]


async def test_the_budget_of_another_owners_project_is_not_used(app: Services) -> None:
    project_id = (await app.projects.create("another", "Theirs", budget=Budget(total_tokens=1)))[0].id
    (writer,) = await _writers(app, project_id, 1)

    assert await _is_allowed(app, writer)
    assert await app.project_store.ledger(project_id) is None
