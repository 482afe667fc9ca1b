"""Which sessions have been idle for how long."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.factories import append_events, create_session
from turnlog.domain.events import SessionDeleted
from turnlog.ports import SessionLog

pytestmark = pytest.mark.anyio


async def test_idle_sessions_are_found_the_oldest_first_and_deleted_ones_never(log: SessionLog) -> None:
    now = datetime.now(UTC)
    times = [now - timedelta(seconds=seconds) for seconds in (30, 20, 10)]
    old, deleted, newer = [await create_session(log, at=at) for at in times]
    await append_events(log, deleted, SessionDeleted(), at=times[1])

    idle = [state.session_id for state in await log.idle_since(now + timedelta(days=1), 1000)]
    later = [state.session_id for state in await log.idle_since(now - timedelta(days=1), 1000)]

    assert [each for each in idle if each in {old.session_id, deleted.session_id, newer.session_id}] == [
        old.session_id,
        newer.session_id,
    ]
    assert old.session_id not in later
    assert len(await log.idle_since(now + timedelta(days=1), 1)) == 1
