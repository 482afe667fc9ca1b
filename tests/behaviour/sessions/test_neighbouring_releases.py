"""Sessions that a next release has written to: this one serves them, and runs further turns in them."""

import json
import sqlite3
from contextlib import aclosing, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import (
    DurableClient,
    activity_input,
    create_session,
    load_message,
    load_state,
    post_message,
    scheduler,
)
from tests.domain.factories import OWNER, TRACE
from tests.next_release.recorded import KINDS, recorded
from turnlog.api.shapes.messages import MessageView
from turnlog.api.shapes.rooms import RoomRenderer
from turnlog.api.shapes.sessions import SessionView
from turnlog.domain.chunks import Chunk
from turnlog.domain.errors import SessionNotFoundError
from turnlog.domain.ids import SessionId, new_session_id, new_writer_id, owner_hash
from turnlog.domain.listing import SessionFilter
from turnlog.domain.rooms import Room
from turnlog.domain.session import SessionState
from turnlog.domain.tolerance import load
from turnlog.orchestrations.activities import call_model, finish_turn
from turnlog.ports import ModelClient
from turnlog.services.fork import ForkRequest
from turnlog.services.history import PageQuery
from turnlog.services.log.stream import follow
from turnlog.stores.reading import dump_events, load_events
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio


def make_unreadable(data_dir: Path, session: SessionId) -> None:
    (path,) = data_dir.glob("*.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        query = "UPDATE states SET body = json_set(body, '$.usage', 'elsewhere') WHERE session_id = ?"
        connection.execute(query, (session,))


@pytest.fixture
async def session(app: Services) -> SessionId:
    """A session as a next release left it."""
    session = new_session_id(OWNER, app.clock.now())
    stored = recorded("documents", session)
    documents: list[Any] = [load(kind, json.dumps(stored[str(kind.model_fields["kind"].default)])) for kind in KINDS]
    state = load(SessionState, json.dumps({**recorded("state", session), "owner": OWNER}))
    events = load_events(json.dumps(recorded("events", session)).replace('"owner": "owner"', f'"owner": "{OWNER}"'))
    await app.log.append(Chunk(session_id=session, writer=new_writer_id(), events=events), state, documents)
    return session


async def test_a_further_turn_keeps_what_is_not_known(app: Services, session: SessionId, model: ModelClient) -> None:
    message = await post_message(app, session)
    await call_model(activity_input(message))
    await finish_turn(activity_input(message, ends="completed"), DurableClient())  # pyright: ignore[reportArgumentType]

    assert (await load_message(app, message)).status == "completed"
    written = json.loads((await load_state(app, session)).model_dump_json())
    assert (written["status"], written["allowance"]["tokens"]) == ("finished", 5)
    assert written["usage"]["audio_tokens"] == 1


async def test_readers_get_an_unknown_event_as_it_is(app: Services, session: SessionId) -> None:
    page = await app.history.page(OWNER, session, PageQuery(types=("budget.*",)))
    (warning,) = [entry.event for entry in page.entries]
    stored = recorded("events", session)[3]["data"]
    assert warning.data.model_dump() == stored

    async with aclosing(follow(app.log, session, 0, timedelta(0))) as batches:
        (chunk,) = await anext(batches)
    assert warning in chunk.events
    header = await app.exports.header(OWNER, session)
    lines = [line async for line in app.exports.events(session, header)]
    assert json.loads(lines[3].model_dump_json())["data"] == stored
    async with aclosing(app.rooms.follow(Room(owner_hash(OWNER)), 0, timedelta(0))) as entries:
        (entry,) = await anext(entries)
    for is_named in (True, False):
        frames = await RoomRenderer(app.log, app.sessions, is_named=is_named).render(entry)
        assert any("budget.warning" in json.dumps([frame.name, frame.data], default=str) for frame in frames)


async def test_lists_show_values_that_are_not_known(app: Services, session: SessionId) -> None:
    page = await app.sessions.list(SessionFilter(owner=owner_hash(OWNER)), None, 10)
    assert [SessionView.of(state).status for state in page.sessions] == ["suspended"]

    messages = await app.messages.list(OWNER, session, after=None, limit=10, newest=False)
    contents = await app.messages.contents(messages.messages)
    (view,) = (MessageView.of(*each, messages.outcomes) for each in zip(messages.messages, contents, strict=True))
    sent = json.loads(view.model_dump_json())
    assert sent["status"] == "suspended"
    assert sent["content"] == recorded("documents")["parts"]["parts"]


async def test_a_fork_copies_what_is_not_known(app: Services, session: SessionId) -> None:
    copy, _ = await app.forks.fork(OWNER, session, ForkRequest(TRACE))

    (chunk, *_) = await app.log.read(copy.session_id, 0, 10)

    copied, original = json.loads(dump_events(chunk.events)), recorded("events", session)
    assert copied[3]["data"] == original[3]["data"]
    assert copied[9]["data"].items() >= original[9]["data"].items()


async def test_only_its_owner_deletes_a_session_whose_state_cannot_be_read(app: Services, tmp_path: Path) -> None:
    session, other = await create_session(app), await create_session(app)
    await post_message(app, session)
    with closing(sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)) as connection:
        connection.execute(
            """UPDATE states SET body = json_set(body, '$.usage', 'x') WHERE session_id = ?""", (session,)
        )

    with pytest.raises(SessionNotFoundError):
        await app.sessions.delete("another", session, TRACE)
    await app.sessions.delete(OWNER, session, TRACE)

    assert (await load_state(app, session)).deleted
    assert [
        each.session_id for each in (await app.sessions.list(SessionFilter(owner=owner_hash(OWNER)), None, 5)).sessions
    ] == [other]


async def test_a_state_that_cannot_be_read_stops_no_sweep(app: Services, clock: Clock, tmp_path: Path) -> None:
    sessions = [await create_session(app) for _ in range(3)]
    for each in sessions:
        await post_message(app, each)
    with closing(sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)) as connection:
        connection.execute(
            "UPDATE states SET body = json_set(body, '$.usage', 'x') WHERE session_id = ?", (sessions[1],)
        )
    clock.move(timedelta(minutes=1))

    client = DurableClient()
    await app.repair.sweep(scheduler(app, client))

    assert {started["session_id"] for started in client.started} == {sessions[0], sessions[2]}
