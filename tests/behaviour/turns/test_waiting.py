"""A turn that waits for a place: no process has begun it, and its session says so."""

import pytest

from tests.behaviour.factories import append_events, cancel_turn, create_session, load_state, post_message
from tests.domain.factories import OWNER
from turnlog.api.shapes.sessions import SessionPage, SessionView, view_page, view_session
from turnlog.domain.events import MessageComplete, MessageStart
from turnlog.domain.ids import SessionId, owner_hash
from turnlog.domain.listing import SessionFilter
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

START = MessageStart(step=1, attempt=1)


async def shown(app: Services, session: SessionId) -> SessionView:
    return await view_session(app.sessions, await load_state(app, session))


async def listed(app: Services) -> SessionPage:
    page = await app.sessions.list(SessionFilter(owner=owner_hash(OWNER)), None, 10)
    return await view_page(app.sessions, page, "trace")


async def test_a_turn_is_queued_until_a_process_begins_it(app: Services) -> None:
    session = await create_session(app)
    await post_message(app, session)
    waiting = await shown(app, session)
    await append_events(app, session, START)
    begun = await shown(app, session)

    assert (waiting.status, waiting.state) == ("running", "queued")
    assert (begun.status, begun.state) == ("running", "running")


async def test_a_turn_between_two_steps_is_running(app: Services) -> None:
    session = await create_session(app)
    await post_message(app, session)
    await append_events(app, session, START, MessageComplete(step=1, attempt=1, text=""))

    assert (await shown(app, session)).state == "running"


async def test_a_cancelled_turn_that_waits_is_being_cancelled(app: Services) -> None:
    session = await create_session(app)
    await cancel_turn(app, await post_message(app, session))

    assert (await shown(app, session)).state == "cancelling"


async def test_lists_call_a_turn_that_waits_running(app: Services) -> None:
    for starts in (True, False):
        session = await create_session(app)
        await post_message(app, session)
        if starts:
            await append_events(app, session, START)

    assert {view.state for view in (await listed(app))["sessions"]} == {"running"}
