"""Of several executions of an attempt one begins it, and it continues only as long as the log allows."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.domain.documents import Lease, Message
from shared.domain.errors import SessionNotFoundError
from shared.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageStart,
)
from shared.domain.ids import SessionId
from shared.domain.session import SessionState
from shared.domain.turn import Standing, standing_of_step
from shared.domain.turn_events import turn_drafts
from shared.services.turns.attempts import Guard, StandingOf, claim_attempt, load_active_message
from shared.services.writer import Decision, SessionWriter
from shared.wiring import Services
from tests.unit.conftest import Clock
from tests.unit.telling import (
    OWNER,
    TRACE,
    active_turn,
    appended,
    cancelled,
    events_of,
    fence,
    opened,
    posted,
    state_of,
)

pytestmark = pytest.mark.anyio

ANSWER = MessageComplete(step=1, attempt=1, text="Hi")
LONG = timedelta(hours=1)


def standing(message: Message, writer: SessionWriter, attempt: int) -> StandingOf:
    return lambda state: standing_of_step(state, fence(message), 1, attempt, writer.id)


async def execute(on: Services, message: Message, attempt: int = 1) -> tuple[Standing, SessionWriter]:
    """An execution up to the point where it knows whether it may act."""
    writer = SessionWriter(on.log, on.clock, message.session_id)
    await writer.load()
    start = MessageStart(step=1, attempt=attempt)
    return await claim_attempt(on.log, writer, standing(message, writer, attempt), start), writer


async def following(on: Services, message: Message) -> asyncio.Task[tuple[Standing, SessionWriter]]:
    """A second execution, which follows the first."""
    task = asyncio.create_task(execute(on, message))
    done, _ = await asyncio.wait([task], timeout=0.05)  # its waiting cannot be observed from outside
    assert not done
    return task


async def test_of_several_executions_of_an_attempt_one_begins_and_the_others_follow_it(on: Services) -> None:
    message = await posted(on, await opened(on))

    async def run() -> Standing:
        found, writer = await execute(on, message)
        if found is Standing.MINE:
            await writer.append(turn_drafts(active_turn(writer.state), ANSWER))
        return found

    found = await asyncio.gather(*(run() for _ in range(8)))

    assert Counter(found) == {Standing.MINE: 1, Standing.DONE: 7}
    assert len(await events_of(on, message.session_id, "message.start")) == 1


async def test_an_execution_that_follows_is_done_when_the_other_records(on: Services) -> None:
    message = await posted(on, await opened(on))
    _, first = await execute(on, message)
    second = await following(on, message)
    await first.append(turn_drafts(active_turn(first.state), MessageDelta(step=1, attempt=1, text="H")))
    await first.append(turn_drafts(active_turn(first.state), ANSWER))

    assert (await second)[0] is Standing.DONE


async def test_an_execution_that_follows_stops_when_the_turn_is_cancelled(on: Services) -> None:
    message = await posted(on, await opened(on))
    await execute(on, message)
    second = await following(on, message)
    await cancelled(on, message)

    assert (await second)[0] is Standing.CANCELLED


async def test_an_execution_that_follows_stops_when_a_later_attempt_begins(on: Services) -> None:
    message = await posted(on, await opened(on))
    await execute(on, message)
    second = await following(on, message)
    await execute(on, message, attempt=2)

    assert (await second)[0] is Standing.SUPERSEDED


async def test_an_attempt_finds_when_it_appends_that_a_later_one_has_begun(on: Services) -> None:
    message = await posted(on, await opened(on))
    found, first = await execute(on, message)
    later, _ = await execute(on, message, attempt=2)
    assert (found, later) == (Standing.MINE, Standing.MINE)

    async def decide(state: SessionState) -> Decision[Standing]:
        now = standing(message, first, 1)(state)
        return Decision(now, turn_drafts(active_turn(state), ANSWER) if now is Standing.MINE else ())

    assert await first.settle(decide) is Standing.SUPERSEDED
    assert await events_of(on, message.session_id, "message.complete") == []


async def test_a_turn_cancelled_before_its_start_is_not_begun(on: Services) -> None:
    message = await posted(on, await opened(on))
    await cancelled(on, message)

    assert (await execute(on, message))[0] is Standing.CANCELLED
    assert await events_of(on, message.session_id, "message.start") == []


async def test_nothing_begins_in_a_session_that_does_not_exist(on: Services) -> None:
    message = await posted(on, await opened(on))

    with pytest.raises(SessionNotFoundError):
        await execute(on, message.model_copy(update={"session_id": SessionId("ses_other")}))


async def test_the_active_message_is_loaded_only_through_the_fence_that_holds_its_turn(on: Services) -> None:
    message = await posted(on, await opened(on))
    state = await state_of(on, message.session_id)

    assert await load_active_message(on.log, state, fence(message)) == message
    with pytest.raises(ValueError, match="missing"):
        await load_active_message(on.log, state, fence(message, generation=2))


class Work:
    """The work that a guard watches."""

    def __init__(self, on: Services, message: Message, writer: SessionWriter, lease_after: timedelta = LONG) -> None:
        self.stopped = asyncio.Event()
        self._guard = Guard(on.log, on.clock, writer, lease_after)
        self._standing = standing(message, writer, 1)

    async def run(self, body: Callable[[], object] = lambda: None) -> None:
        """Work until the guard stops it."""
        async with asyncio.timeout(10), self._guard.over_work(self._may_continue, self.stopped.set):
            body()
            await self.stopped.wait()

    def _may_continue(self, state: SessionState) -> bool:
        return self._standing(state) is Standing.MINE


async def test_a_guard_stops_the_work_after_a_cancel(on: Services) -> None:
    message = await posted(on, await opened(on))
    _, writer = await execute(on, message)
    work = Work(on, message, writer)
    running = asyncio.create_task(work.run())
    await cancelled(on, message)

    await running


async def test_a_guard_stops_the_work_after_a_cancel_that_came_before_it(on: Services) -> None:
    message = await posted(on, await opened(on))
    _, writer = await execute(on, message)
    await cancelled(on, message)

    await Work(on, message, writer).run()


async def test_a_guard_stops_the_work_when_a_later_attempt_begins(on: Services) -> None:
    message = await posted(on, await opened(on))
    _, writer = await execute(on, message)
    running = asyncio.create_task(Work(on, message, writer).run())
    await execute(on, message, attempt=2)

    await running


async def test_a_guard_stops_the_work_when_the_session_is_deleted(on: Services) -> None:
    message = await posted(on, await opened(on))
    _, writer = await execute(on, message)
    running = asyncio.create_task(Work(on, message, writer).run())
    await on.sessions.delete(OWNER, message.session_id, TRACE)

    await running


async def test_a_guard_ignores_events_that_do_not_concern_the_attempt(on: Services) -> None:
    message = await posted(on, await opened(on))
    _, writer = await execute(on, message)
    work = Work(on, message, writer)
    running = asyncio.create_task(work.run())
    await writer.append(turn_drafts(active_turn(writer.state), MessageDelta(step=1, attempt=1, text="H")))
    await on.events.append(OWNER, message.session_id, [("run.complete", {})], TRACE)
    await posted(on, message.session_id, "Next")
    done, _ = await asyncio.wait([running], timeout=0.05)  # the absence of a stop cannot be waited for
    assert not done
    await cancelled(on, message)

    await running


async def test_a_guard_renews_the_lease_of_a_silent_attempt(on: Services, clock: Clock) -> None:
    message = await posted(on, await opened(on))
    _, writer = await execute(on, message)
    lease_after = timedelta(milliseconds=4)
    running = asyncio.create_task(Work(on, message, writer, lease_after).run())
    clock.move(lease_after)
    async with asyncio.timeout(10):
        while await on.log.get(Lease, message.session_id, writer.id) is None:  # noqa: ASYNC110 - a lease sets no event
            await asyncio.sleep(0.002)
    await cancelled(on, message)

    await running


async def test_a_guard_ends_with_its_work(on: Services) -> None:
    message = await posted(on, await opened(on))
    _, writer = await execute(on, message)
    work = Work(on, message, writer)
    await work.run(work.stopped.set)
    work.stopped.clear()
    await cancelled(on, message)
    await appended(on, message.session_id, MessageDelta(step=1, attempt=1, text="x"))

    assert not work.stopped.is_set()
