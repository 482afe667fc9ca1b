"""Keys of requests whose path names no session: if the process dies after the claim, a retry finishes the work."""

import asyncio
from typing import Any, cast

import pytest

from shared.domain.errors import IdempotencyKeyReusedError, SessionExistsError, StoreUnavailableError
from shared.domain.ids import SessionId
from shared.domain.listing import SessionFilter
from shared.ports import SessionLog
from shared.services.idempotency import IdempotencyKey
from shared.services.outside_events import Events
from shared.services.project_sessions import ProjectSessions
from shared.services.sessions import Sessions
from shared.services.turns.cancelling import CancelRequest, Control
from shared.services.turns.endings import EndRequest
from shared.wiring import Services
from tests.unit.telling import LOST_STARTS, OWNER, TRACE, end_turn, opened, posted, state_of, types_of

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


def _dying(on: Services) -> SessionLog:
    return cast("SessionLog", _Dying(on.log))


async def _count(on: Services) -> int:
    return len(await on.log.sessions(SessionFilter(), before=None, limit=100))


@pytest.mark.parametrize("own", [None, OWN])
async def test_a_retry_opens_the_session_that_was_claimed(on: Services, own: SessionId | None) -> None:
    with pytest.raises(StoreUnavailableError):
        await Sessions(_dying(on), on.clock).create(OWNER, {}, own, TRACE, KEY)

    with pytest.raises(IdempotencyKeyReusedError):
        await on.sessions.create(OWNER, {}, ELSE, TRACE, OTHER)
    made, replayed = await on.sessions.create(OWNER, {}, own, TRACE, KEY)
    again, was_replayed = await on.sessions.create(OWNER, {}, own, TRACE, KEY)

    assert (replayed, was_replayed, again) == (False, True, made)
    assert own in {None, made.session_id}
    assert await _count(on) == 1


async def test_a_refused_request_releases_the_key(on: Services) -> None:
    await on.sessions.create(OWNER, {}, OWN, TRACE)
    with pytest.raises(SessionExistsError):
        await on.sessions.create(OWNER, {}, OWN, TRACE, KEY)

    made, replayed = await on.sessions.create(OWNER, {}, ELSE, TRACE, OTHER)

    assert (made.session_id, replayed) == (ELSE, False)


async def test_a_refused_retry_does_not_release_the_claim_of_another_request(on: Services) -> None:
    await on.sessions.create(OWNER, {}, OWN, TRACE)
    await on.log.claim(KEY.record(OWN))

    with pytest.raises(SessionExistsError):
        await on.sessions.create(OWNER, {}, OWN, TRACE, KEY)

    with pytest.raises(IdempotencyKeyReusedError):
        await on.sessions.create(OWNER, {}, ELSE, TRACE, OTHER)


async def test_a_retry_opens_the_projects_session_that_the_first_request_only_claimed(on: Services) -> None:
    project, _ = await on.projects.create(OWNER, "A project")
    dying = ProjectSessions(on.log, on.projects, Sessions(_dying(on), on.clock))
    with pytest.raises(StoreUnavailableError):
        await dying.start(OWNER, project.id, None, {}, TRACE, key=KEY)

    first = await on.project_sessions.start(OWNER, project.id, None, {}, TRACE, key=KEY)
    second = await on.project_sessions.start(OWNER, project.id, None, {}, TRACE, key=KEY)

    assert [(each.found, each.replayed) for each in (first, second)] == [(False, False), (True, True)]


async def test_a_retry_appends_the_flat_event_that_the_first_request_only_claimed(on: Services) -> None:
    session = await opened(on)
    event: tuple[str, dict[str, Any]] = ("note", {})
    with pytest.raises(StoreUnavailableError):
        await Events(_dying(on), on.clock).append_flat(OWNER, session, event, TRACE, key=KEY)

    first = await on.events.append_flat(OWNER, session, event, TRACE, key=KEY)
    second = await on.events.append_flat(OWNER, session, event, TRACE, key=KEY)

    assert [(list(each.sequences), each.replayed) for each in (first, second)] == [([2], False), ([2], True)]
    assert await types_of(on, session) == ["session.created", "note"]


async def test_a_key_with_another_own_id_opens_no_second_session(on: Services) -> None:
    made, _ = await on.sessions.create(OWNER, {}, None, TRACE, KEY)

    with pytest.raises(IdempotencyKeyReusedError):
        await on.sessions.create(OWNER, {}, OWN, TRACE, OTHER)

    assert await on.log.state(OWN) is None
    assert await types_of(on, made.session_id) == ["session.created"]


async def test_requests_to_cancel_with_one_key_mean_one_turn(on: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    session_id, put, goes_on = await opened(on), on.log.put, asyncio.Event()

    async def late(*given: Any) -> None:
        await goes_on.wait()
        await put(*given)

    monkeypatch.setattr(on.log, "put", late)
    first = asyncio.create_task(on.control.cancel(OWNER, session_id, CancelRequest(TRACE), LOST_STARTS, KEY))
    await asyncio.sleep(0.05)
    await posted(on, session_id)
    retry = asyncio.create_task(on.control.cancel(OWNER, session_id, CancelRequest(TRACE), LOST_STARTS, KEY))
    await asyncio.sleep(0.05)
    goes_on.set()

    assert [(await each).status for each in (first, retry)] == ["idle", "idle"]
    assert (await on.control.cancel(OWNER, session_id, CancelRequest(TRACE), LOST_STARTS, KEY)).status == "idle"
    turn = (await state_of(on, session_id)).active_turn
    assert turn is not None
    assert not turn.cancelling


async def test_a_retried_cancel_stops_only_the_turn_that_was_active_at_first(on: Services) -> None:
    message = await posted(on, await opened(on))
    dying = Control(_dying(on), on.clock)
    with pytest.raises(StoreUnavailableError):
        await dying.cancel(OWNER, message.session_id, CancelRequest(TRACE), LOST_STARTS, KEY)
    await end_turn(on, message, EndRequest("completed"))
    await posted(on, message.session_id)

    receipt = await on.control.cancel(OWNER, message.session_id, CancelRequest(TRACE), LOST_STARTS, KEY)

    turn = (await state_of(on, message.session_id)).active_turn
    assert turn is not None
    assert (receipt.status, turn.cancelling) == ("idle", False)
