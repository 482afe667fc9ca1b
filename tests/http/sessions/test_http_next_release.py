"""Sessions that a next release has written to, on the wire."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.http.api_client import Api, api_client, new_id, ok, running_host

pytestmark = pytest.mark.anyio

WARNING: dict[str, Any] = {"type": "budget.warning", "tokens": 5, "limit": None}


def _change(data_dir: Path, query: str, *values: str) -> None:
    with closing(sqlite3.connect(data_dir / "sessions.db", isolation_level=None, timeout=30)) as connection:
        connection.execute(query, values)


def _append_warning(data_dir: Path, session: str) -> int:
    """Append an event of a next release, and a state that knows it; returns its sequence."""
    with closing(sqlite3.connect(data_dir / "sessions.db", isolation_level=None, timeout=30)) as connection:
        (head,) = connection.execute("SELECT max(last) FROM chunks WHERE session_id = ?", (session,)).fetchone()
        event = {"sequence": head + 1, "timestamp": "2026-11-01T12:00:00Z", "data": WARNING}
        connection.execute(
            "INSERT INTO chunks SELECT session_id, ?1, ?1, epoch, 'newer', recorded_at, ' budget.warning ', 0, ?2"
            " FROM chunks WHERE session_id = ?3 AND last = ?4",
            (head + 1, json.dumps([event]), session, head),
        )
        query = "UPDATE states SET body = json_set(body, '$.head', ?, '$.budget', json(?)) WHERE session_id = ?"
        connection.execute(query, (head + 1, '{"tokens": 5}', session))
    return head + 1


async def test_a_session_of_a_next_release_is_read_listed_streamed_continued_and_deleted(tmp_path: Path) -> None:
    with running_host(tmp_path) as host:
        async with api_client(host) as api:
            session = new_id()
            await api.new_session(session_id=session)
            await api.run_turn(session, "Hello")
            sequence = _append_warning(tmp_path, session)

            await _check_readers(api, session, sequence)
            message = await api.run_turn(session, "And now?")
            assert message["status"] == "completed"

            with closing(sqlite3.connect(tmp_path / "sessions.db")) as connection:
                query = "SELECT body ->> '$.budget.tokens' FROM states WHERE session_id = ?"
                assert connection.execute(query, (session,)).fetchone() == (5,)
            assert (await api.http.delete(f"/sessions/{session}")).status_code == 204


async def _check_readers(api: Api, session: str, sequence: int) -> None:
    events = await api.events(session)
    assert events[-1]["type"] == "budget.warning"
    assert (events[-1]["data"]["tokens"], events[-1]["data"]["limit"]) == (5, None)
    streamed = (await api.http.get(f"/sessions/{session}/stream?after={sequence - 1}")).text
    assert "event: budget.warning" in streamed
    exported = (await api.http.get(f"/sessions/{session}/export")).text.splitlines()
    assert json.loads(exported[-1])["data"] == WARNING


async def test_a_session_that_cannot_be_read_is_in_nobodys_way(tmp_path: Path) -> None:
    with running_host(tmp_path) as host:
        async with api_client(host) as api:
            unreadable, other = new_id(), new_id()
            for each in (unreadable, other):
                await api.new_session(session_id=each)
            query = "UPDATE states SET body = json_set(body, '$.usage', 'elsewhere') WHERE session_id = ?"
            _change(tmp_path, query, unreadable)

            listed = ok(await api.http.get("/sessions"))["sessions"]
            assert [session["session_id"] for session in listed] == [other]
            refused = await api.http.get(f"/sessions/{unreadable}")
            assert (refused.status_code, refused.json()["code"]) == (501, "session_unreadable")
            assert (await api.http.delete(f"/sessions/{unreadable}")).status_code == 204
            assert (await api.http.get(f"/sessions/{unreadable}")).status_code == 404
