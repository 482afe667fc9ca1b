"""Sessions that nobody uses are deleted after a time, and their space is given back."""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.contract.factories import append_events, create_session
from turnlog.domain.errors import SessionNotFoundError
from turnlog.domain.events import Outside
from turnlog.domain.session import SessionState
from turnlog.services.retention import Retention
from turnlog.stores.sqlite.log import SqliteSessionLog
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

OWNER = "owner"
NOW = datetime.now(UTC)


def retention(app: Services, days: int | None) -> Retention:
    return Retention(app.log, app.sessions, app.clock, None if days is None else timedelta(days=days))


async def idle_session(app: Services, days: float, **fields: Any) -> SessionState:
    return await create_session(app.log, owner=OWNER, at=NOW - timedelta(days=days), **fields)


async def test_only_sessions_that_were_idle_for_longer_are_deleted(app: Services) -> None:
    old, used, new = await idle_session(app, 31), await idle_session(app, 31), await idle_session(app, 29)
    await append_events(app.log, used, Outside(event_type="x"), at=NOW)

    assert await retention(app, None).sweep() == 0
    assert await retention(app, 30).sweep() == 1
    assert await retention(app, 30).sweep() == 0

    with pytest.raises(SessionNotFoundError):
        await app.sessions.get(OWNER, old.session_id)
    for stays in (used, new):
        assert (await app.sessions.get(OWNER, stays.session_id)).session_id == stays.session_id


async def test_a_session_that_is_used_before_its_deletion_stays(app: Services) -> None:
    found = await idle_session(app, 31)
    await append_events(app.log, found, Outside(event_type="x"), at=NOW)

    assert not await app.sessions.delete_idle(found, NOW - timedelta(days=30))

    assert (await app.sessions.get(OWNER, found.session_id)).head == 2


async def test_one_that_cannot_be_deleted_keeps_no_other(app: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = await idle_session(app, 40), await idle_session(app, 31)
    delete = app.sessions.delete_idle

    async def fail_once(found: SessionState, before: datetime) -> bool:
        if found.session_id == bad.session_id:
            raise RuntimeError("broken")
        return await delete(found, before)

    monkeypatch.setattr(app.sessions, "delete_idle", fail_once)

    assert await retention(app, 30).sweep() == 1
    with pytest.raises(SessionNotFoundError):
        await app.sessions.get(OWNER, good.session_id)


async def test_a_cleared_session_gives_its_space_back(app: Services) -> None:
    database = cast("SqliteSessionLog", app.log)._database  # pyright: ignore[reportPrivateUsage]

    def count(connection: sqlite3.Connection) -> int:
        return connection.execute("PRAGMA page_count").fetchone()[0]

    async def pages() -> Any:
        return await database.read(count)

    before = await pages()
    state = await idle_session(app, 31)
    for _ in range(100):
        state = await append_events(app.log, state, Outside(event_type="x", fields={"text": "x" * 40_000}))
    full = await pages()

    await app.sessions.delete(OWNER, state.session_id, None)
    await app.log.clear(state.session_id)

    assert full > before + 900
    assert await pages() < before + 50
