"""Of several executions of an attempt one begins it, and it continues only as long as the log allows."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import (
    append_events,
    cancel_turn,
    create_session,
    fence_of,
    load_events,
    load_state,
    post_message,
)
from tests.domain.factories import OWNER, TRACE, active_turn
from turnlog.domain.errors import SessionNotFoundError
from turnlog.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageStart,
)
from turnlog.domain.ids import SessionId
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import Lease, Message
from turnlog.domain.turn import Permission, permission_for_step
from turnlog.domain.turn_events import turn_drafts
from turnlog.services.log.writer import Decision, SessionWriter
from turnlog.services.turns.attempts import Guard, PermissionOf, claim_attempt, load_active_message
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

ANSWER = MessageComplete(step=1, attempt=1, text="Hi")
LONG = timedelta(hours=1)


def permission(message: Message, writer: SessionWriter, attempt: int) -> PermissionOf:
    return lambda state: permission_for_step(state, fence_of(message), 1, attempt, writer.id)


async def execute(app: Services, message: Message, attempt: int = 1) -> tuple[Permission, SessionWriter]:
    """An execution up to the point where it knows whether it may act."""
    writer = SessionWriter(app.log, app.clock, message.session_id)
    await writer.load()
    start = MessageStart(step=1, attempt=attempt)
    return await claim_attempt(app.log, writer, permission(message, writer, attempt), start), writer


async def following(app: Services, message: Message) -> asyncio.Task[tuple[Permission, SessionWriter]]:
    """A second execution, which follows the first."""
    task = asyncio.create_task(execute(app, message))
    done, _ = await asyncio.wait([task], timeout=0.05)  # its waiting cannot be observed from outside
    assert not done
    return task


async def test_of_several_executions_of_an_attempt_one_begins_and_the_others_follow_it(app: Services) -> None:
    message = await post_message(app, await create_session(app))

    async def run() -> Permission:
        found, writer = await execute(app, message)
        if found is Permission.ACT:
            await writer.append(turn_drafts(active_turn(writer.state), ANSWER))
        return found

    found = await asyncio.gather(*(run() for _ in range(8)))

    assert Counter(found) == {Permission.ACT: 1, Permission.DONE: 7}
    assert len(await load_events(app, message.session_id, "message.start")) == 1


async def test_an_execution_that_follows_is_done_when_the_other_records(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    _, first = await execute(app, message)
    second = await following(app, message)
    await first.append(turn_drafts(active_turn(first.state), MessageDelta(step=1, attempt=1, text="H")))
    await first.append(turn_drafts(active_turn(first.state), ANSWER))

    assert (await second)[0] is Permission.DONE


async def test_an_execution_that_follows_stops_when_the_turn_is_cancelled(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    await execute(app, message)
    second = await following(app, message)
    await cancel_turn(app, message)

    assert (await second)[0] is Permission.CANCELLED


async def test_an_execution_that_follows_stops_when_a_later_attempt_begins(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    await execute(app, message)
    second = await following(app, message)
    await execute(app, message, attempt=2)

    assert (await second)[0] is Permission.SUPERSEDED


async def test_an_attempt_finds_when_it_appends_that_a_later_one_has_begun(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    found, first = await execute(app, message)
    later, _ = await execute(app, message, attempt=2)
    assert (found, later) == (Permission.ACT, Permission.ACT)

    async def decide(state: SessionState) -> Decision[Permission]:
        now = permission(message, first, 1)(state)
        return Decision(now, turn_drafts(active_turn(state), ANSWER) if now is Permission.ACT else ())

    assert await first.transact(decide) is Permission.SUPERSEDED
    assert await load_events(app, message.session_id, "message.complete") == []


async def test_a_turn_cancelled_before_its_start_is_not_begun(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    await cancel_turn(app, message)

    assert (await execute(app, message))[0] is Permission.CANCELLED
    assert await load_events(app, message.session_id, "message.start") == []


async def test_nothing_begins_in_a_session_that_does_not_exist(app: Services) -> None:
    message = await post_message(app, await create_session(app))

    with pytest.raises(SessionNotFoundError):
        await execute(app, message.model_copy(update={"session_id": SessionId("ses_other")}))


async def test_the_active_message_is_loaded_only_through_the_fence_that_holds_its_turn(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    state = await load_state(app, message.session_id)

    assert await load_active_message(app.log, state, fence_of(message)) == message
    with pytest.raises(ValueError, match="missing"):
        await load_active_message(app.log, state, fence_of(message, generation=2))


class Work:
    """The work that a guard watches."""

    def __init__(
        self, app: Services, message: Message, writer: SessionWriter, renew_lease_after: timedelta = LONG
    ) -> None:
        self.stopped = asyncio.Event()
        self._guard = Guard(app.log, app.clock, writer, renew_lease_after)
        self._permission = permission(message, writer, 1)

    async def run(self, body: Callable[[], object] = lambda: None) -> None:
        """Work until the guard stops it."""
        async with asyncio.timeout(60), self._guard.watch(self._may_continue, self.stopped.set):
            body()
            await self.stopped.wait()

    def _may_continue(self, state: SessionState) -> bool:
        return self._permission(state) is Permission.ACT


async def test_a_guard_stops_the_work_after_a_cancel(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    _, writer = await execute(app, message)
    work = Work(app, message, writer)
    running = asyncio.create_task(work.run())
    await cancel_turn(app, message)

    await running


async def test_a_guard_stops_the_work_after_a_cancel_that_came_before_it(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    _, writer = await execute(app, message)
    await cancel_turn(app, message)

    await Work(app, message, writer).run()


async def test_a_guard_stops_the_work_when_a_later_attempt_begins(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    _, writer = await execute(app, message)
    running = asyncio.create_task(Work(app, message, writer).run())
    await execute(app, message, attempt=2)

    await running


async def test_a_guard_stops_the_work_when_the_session_is_deleted(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    _, writer = await execute(app, message)
    running = asyncio.create_task(Work(app, message, writer).run())
    await app.sessions.delete(OWNER, message.session_id, TRACE)

    await running


async def test_a_guard_ignores_events_that_do_not_concern_the_attempt(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    _, writer = await execute(app, message)
    work = Work(app, message, writer)
    running = asyncio.create_task(work.run())
    await writer.append(turn_drafts(active_turn(writer.state), MessageDelta(step=1, attempt=1, text="H")))
    await app.outside_events.append(OWNER, message.session_id, [("run.complete", {})], TRACE)
    await post_message(app, message.session_id, "Next")
    done, _ = await asyncio.wait([running], timeout=0.05)  # the absence of a stop cannot be waited for
    assert not done
    await cancel_turn(app, message)

    await running


async def test_a_guard_renews_the_lease_of_a_silent_attempt(app: Services, clock: Clock) -> None:
    message = await post_message(app, await create_session(app))
    _, writer = await execute(app, message)
    renew_lease_after = timedelta(milliseconds=4)
    running = asyncio.create_task(Work(app, message, writer, renew_lease_after).run())
    clock.move(renew_lease_after)
    async with asyncio.timeout(60):
        while await app.log.get(Lease, message.session_id, writer.id) is None:  # noqa: ASYNC110 - a lease sets no event
            await asyncio.sleep(0.002)
    await cancel_turn(app, message)

    await running


async def test_a_guard_ends_with_its_work(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    _, writer = await execute(app, message)
    work = Work(app, message, writer)
    await work.run(work.stopped.set)
    work.stopped.clear()
    await cancel_turn(app, message)
    await append_events(app, message.session_id, MessageDelta(step=1, attempt=1, text="x"))

    assert not work.stopped.is_set()
