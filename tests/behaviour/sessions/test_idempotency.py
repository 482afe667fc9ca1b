"""Keys of requests whose path names no session: if the process dies after the claim, a retry finishes the work."""

import asyncio
from typing import Any, cast

import pytest

from tests.behaviour.factories import LOST_STARTS, create_session, end_turn, load_state, load_types, post_message
from tests.domain.factories import OWNER, TRACE
from turnlog.domain.errors import IdempotencyKeyReusedError, SessionExistsError, StoreUnavailableError
from turnlog.domain.ids import SessionId
from turnlog.domain.listing import SessionFilter
from turnlog.ports import SessionLog
from turnlog.services.log.idempotency import IdempotencyKey
from turnlog.services.outside_events import OutsideEvents
from turnlog.services.projects.sessions import ProjectSessions
from turnlog.services.sessions import Sessions
from turnlog.services.turns.cancelling import Cancelling, CancelRequest
from turnlog.services.turns.endings import EndRequest
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

KEY = IdempotencyKey("0123456789abcdef" * 4, "body")
OTHER = IdempotencyKey(KEY.id, "another body")
OWN, ELSE = SessionId("own"), SessionId("else")


class _Dying:
    """A log whose process dies when it appends."""

    def __init__(self, log: SessionLog) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, *_: Any) -> None:
        raise StoreUnavailableError("The process dies here.")


def _dying(app: Services) -> SessionLog:
    return cast("SessionLog", _Dying(app.log))


async def _count(app: Services) -> int:
    return len(await app.log.sessions(SessionFilter(), before=None, limit=100))


@pytest.mark.parametrize("own", [None, OWN])
async def test_a_retry_opens_the_session_that_was_claimed(app: Services, own: SessionId | None) -> None:
    with pytest.raises(StoreUnavailableError):
        await Sessions(_dying(app), app.clock).create(OWNER, {}, own, TRACE, KEY)

    with pytest.raises(IdempotencyKeyReusedError):
        await app.sessions.create(OWNER, {}, ELSE, TRACE, OTHER)
    made, replayed = await app.sessions.create(OWNER, {}, own, TRACE, KEY)
    again, was_replayed = await app.sessions.create(OWNER, {}, own, TRACE, KEY)

    assert (replayed, was_replayed, again) == (False, True, made)
    assert own in {None, made.session_id}
    assert await _count(app) == 1


async def test_a_refused_request_releases_the_key(app: Services) -> None:
    await app.sessions.create(OWNER, {}, OWN, TRACE)
    with pytest.raises(SessionExistsError):
        await app.sessions.create(OWNER, {}, OWN, TRACE, KEY)

    made, replayed = await app.sessions.create(OWNER, {}, ELSE, TRACE, OTHER)

    assert (made.session_id, replayed) == (ELSE, False)


async def test_a_refused_retry_does_not_release_the_claim_of_another_request(app: Services) -> None:
    await app.sessions.create(OWNER, {}, OWN, TRACE)
    await app.log.claim(KEY.record(OWN))

    with pytest.raises(SessionExistsError):
        await app.sessions.create(OWNER, {}, OWN, TRACE, KEY)

    with pytest.raises(IdempotencyKeyReusedError):
        await app.sessions.create(OWNER, {}, ELSE, TRACE, OTHER)


async def test_a_retry_opens_the_projects_session_that_the_first_request_only_claimed(app: Services) -> None:
    project, _ = await app.projects.create(OWNER, "A project")
    dying = ProjectSessions(app.log, app.projects, Sessions(_dying(app), app.clock))
    with pytest.raises(StoreUnavailableError):
        await dying.start(OWNER, project.id, None, {}, TRACE, key=KEY)

    first = await app.project_sessions.start(OWNER, project.id, None, {}, TRACE, key=KEY)
    second = await app.project_sessions.start(OWNER, project.id, None, {}, TRACE, key=KEY)

    assert [(each.found, each.replayed) for each in (first, second)] == [(False, False), (True, True)]


async def test_a_retry_appends_the_flat_event_that_the_first_request_only_claimed(app: Services) -> None:
    session = await create_session(app)
    event: tuple[str, dict[str, Any]] = ("note", {})
    with pytest.raises(StoreUnavailableError):
        await OutsideEvents(_dying(app), app.clock).append_flat(OWNER, session, event, TRACE, key=KEY)

    first = await app.outside_events.append_flat(OWNER, session, event, TRACE, key=KEY)
    second = await app.outside_events.append_flat(OWNER, session, event, TRACE, key=KEY)

    assert [(list(each.sequences), each.replayed) for each in (first, second)] == [([2], False), ([2], True)]
    assert await load_types(app, session) == ["session.created", "note"]


async def test_a_key_with_another_own_id_opens_no_second_session(app: Services) -> None:
    made, _ = await app.sessions.create(OWNER, {}, None, TRACE, KEY)

    with pytest.raises(IdempotencyKeyReusedError):
        await app.sessions.create(OWNER, {}, OWN, TRACE, OTHER)

    assert await app.log.state(OWN) is None
    assert await load_types(app, made.session_id) == ["session.created"]


async def test_requests_to_cancel_with_one_key_mean_one_turn(app: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    session_id, put, goes_on = await create_session(app), app.log.put, asyncio.Event()

    async def late(*given: Any) -> None:
        await goes_on.wait()
        await put(*given)

    monkeypatch.setattr(app.log, "put", late)
    first = asyncio.create_task(app.cancelling.cancel(OWNER, session_id, CancelRequest(TRACE), LOST_STARTS, KEY))
    await asyncio.sleep(0.05)
    await post_message(app, session_id)
    retry = asyncio.create_task(app.cancelling.cancel(OWNER, session_id, CancelRequest(TRACE), LOST_STARTS, KEY))
    await asyncio.sleep(0.05)
    goes_on.set()

    assert [(await each).status for each in (first, retry)] == ["idle", "idle"]
    assert (await app.cancelling.cancel(OWNER, session_id, CancelRequest(TRACE), LOST_STARTS, KEY)).status == "idle"
    turn = (await load_state(app, session_id)).active_turn
    assert turn is not None
    assert not turn.cancelling


async def test_a_retried_cancel_stops_only_the_turn_that_was_active_at_first(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    dying = Cancelling(_dying(app), app.clock)
    with pytest.raises(StoreUnavailableError):
        await dying.cancel(OWNER, message.session_id, CancelRequest(TRACE), LOST_STARTS, KEY)
    await end_turn(app, message, EndRequest("completed"))
    await post_message(app, message.session_id)

    receipt = await app.cancelling.cancel(OWNER, message.session_id, CancelRequest(TRACE), LOST_STARTS, KEY)

    turn = (await load_state(app, message.session_id)).active_turn
    assert turn is not None
    assert (receipt.status, turn.cancelling) == ("idle", False)
