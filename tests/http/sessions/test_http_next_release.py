"""Sessions that a next release has written to, on the wire."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.http.api_client import Api, api_client, new_id, ok, refusal, running_host
from tests.http.process.issuer import Issuer, authorization
from tests.http.process.routes import ROUTES, route_of
from turnlog.domain.ids import bound_id

pytestmark = pytest.mark.anyio

WARNING: dict[str, Any] = {"type": "budget.warning", "tokens": 5, "limit": None}


def _change(data_dir: Path, query: str, *values: str) -> None:
    with closing(sqlite3.connect(data_dir / "sessions.db", isolation_level=None, timeout=30)) as connection:
        connection.execute(query, values)


def _make_unreadable(data_dir: Path, session_id: str) -> None:
    query = "UPDATE states SET body = json_set(body, '$.usage', 'elsewhere') WHERE session_id = ?"
    _change(data_dir, query, session_id)


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
        query = "UPDATE states SET body = json_set(body, '$.head', ?, '$.allowance', json(?)) WHERE session_id = ?"
        connection.execute(query, (head + 1, '{"tokens": 5}', session))
    return head + 1


async def test_a_session_of_a_next_release_is_read_listed_streamed_continued_and_deleted(tmp_path: Path) -> None:
    with running_host(tmp_path) as host:
        async with api_client(host) as api:
            session = new_id()
            await api.new_session(session_id=session)
            await api.run_turn(session, "Hello")
            sequence = _append_warning(tmp_path, bound_id("local", session))

            await _check_readers(api, session, sequence)
            message = await api.run_turn(session, "And now?")
            assert message["status"] == "completed"

            with closing(sqlite3.connect(tmp_path / "sessions.db")) as connection:
                query = "SELECT body ->> '$.allowance.tokens' FROM states WHERE session_id = ?"
                assert connection.execute(query, (bound_id("local", session),)).fetchone() == (5,)
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
            _make_unreadable(tmp_path, bound_id("local", unreadable))

            listed = ok(await api.http.get("/sessions"))["sessions"]
            assert [session["session_id"] for session in listed] == [other]
            refused = await api.http.get(f"/sessions/{unreadable}")
            assert (refused.status_code, refused.json()["code"]) == (501, "session_unreadable")
            assert (await api.http.delete(f"/sessions/{unreadable}")).status_code == 204
            assert (await api.http.get(f"/sessions/{unreadable}")).status_code == 404


async def test_whether_another_owners_session_can_be_read_shows_in_no_answer(tmp_path: Path) -> None:
    with Issuer() as issuer, running_host(tmp_path, issuer.settings) as host:
        owner, stranger = (authorization(issuer.token(name)) for name in ("ann", "bob"))
        async with api_client(host) as api:
            session_id = new_id()
            ok(await api.http.post("/sessions", json={"session_id": session_id}, headers=owner), 201)
            _make_unreadable(tmp_path, bound_id(f"{issuer.url}||ann", session_id))
            refusal(await api.http.get(f"/sessions/{session_id}", headers=owner), 501, "session_unreadable")

            ids = {"session_id": session_id, "message_id": f"msg_{'0' * 26}_{session_id}", "call_id": "call_1"}
            hidden = {entry: rules for entry, rules in ROUTES.items() if "session" in (rules.hidden or "")}
            for entry, rules in hidden.items():
                method, path = route_of(entry)
                body = rules.body and {name: ids.get(name, value) for name, value in rules.body.items()}
                headers = {**rules.headers, **stranger}
                response = await api.http.request(method, path.format(**ids), json=body, headers=headers)
                refusal(response, 404, "session_not_found")
            message = await api.http.get(f"/messages/{ids['message_id']}", headers=stranger)
            refusal(message, 404, "message_not_found")
