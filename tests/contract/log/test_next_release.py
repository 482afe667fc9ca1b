"""What a next release stored: it is read as far as it is understood, kept, and in nobody's way."""

import json
from typing import Any

import pytest

from tests.contract.factories import LATER, THEN, append_events, collect, create_session, read_all, session_id
from tests.contract.stores import Database
from tests.next_release.recorded import KINDS, recorded
from turnlog.domain.chunks import Chunk, Draft
from turnlog.domain.errors import SessionUnreadableError
from turnlog.domain.events import SessionDeleted, SessionUpdated
from turnlog.domain.fold import fold
from turnlog.domain.ids import ProjectId, SessionId, new_writer_id, owner_hash
from turnlog.domain.listing import SessionFilter
from turnlog.domain.project import Project
from turnlog.domain.rooms import Room
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import Message, ToolResult
from turnlog.domain.tolerance import load
from turnlog.ports import RoomFeed, SessionLog
from turnlog.services.log.writer import Decision, SessionWriter
from turnlog.stores import Stores
from turnlog.stores.reading import dump_events, load_events
from turnlog.wiring import SystemClock

pytestmark = pytest.mark.anyio

UNREADABLE: dict[str, Any] = {"usage": "in another container", "queue": {"waiting": []}}


async def append_recorded(log: SessionLog, owner: str = "owner") -> SessionState:
    """A session as a next release left it: its log, its state and its documents."""
    session = session_id()
    events = load_events(json.dumps(recorded("events", session)))
    chunk = Chunk(session_id=session, writer=new_writer_id(), events=events)
    state = load(SessionState, json.dumps({**recorded("state", session), "owner": owner}))
    stored = recorded("documents", session)
    documents: list[Any] = [load(kind, json.dumps(stored[str(kind.model_fields["kind"].default)])) for kind in KINDS]
    await log.append(chunk, state, documents)
    return state


async def test_a_log_comes_back_as_it_was_written(log: SessionLog) -> None:
    state = await append_recorded(log)

    (chunk,) = await read_all(log, state.session_id)

    assert json.loads(dump_events(chunk.events)) == json.loads(
        dump_events(load_events(json.dumps(recorded("events", state.session_id))))
    )
    assert [event.type for event in chunk.events][3] == "budget.warning"
    (found,) = await log.newest_of_type(state.session_id, "budget.warning", 1)
    assert found.last == 13


async def test_an_update_keeps_what_is_not_known_in_the_state(log: SessionLog, elsewhere: SessionLog) -> None:
    await append_events(log, await append_recorded(log), SessionUpdated(changes={"session_name": "x"}))
    (listed,) = await elsewhere.sessions(SessionFilter(owner=owner_hash("owner")), before=None, limit=5)

    state = await elsewhere.state(listed.session_id)

    for found in (listed, state):
        assert found is not None
        written = json.loads(found.model_dump_json(exclude_none=True))
        assert (written["session_name"], written["status"]) == ("x", "suspended")
        assert written["allowance"]["tokens"] == 5
        assert written["usage_rows"][0]["price"] == "0.1"


async def test_documents_come_back_with_what_is_not_known(log: SessionLog) -> None:
    session = (await append_recorded(log)).session_id

    for kind in KINDS:
        stored = recorded("documents", session)[str(kind.model_fields["kind"].default)]
        found = await log.get(kind, session, stored["id"])
        assert found is not None
        assert (
            json.loads(found.model_dump_json(exclude_none=True)).items()
            >= {name: value for name, value in stored.items() if not isinstance(value, dict | list)}.items()
        )
    (message,) = await log.find(Message, session, limit=5)
    await log.put(session, message.model_copy(update={"finish_reason": "stop"}))
    (again,) = await log.find(Message, session, limit=5)
    assert json.loads(again.model_dump_json())["rating"] == {"stars": 5}
    (result,) = await log.find(ToolResult, session, limit=5)
    assert result.outcome.status == "timed_out"


async def test_a_project_keeps_what_is_not_known(stores: Stores) -> None:
    project = load(Project, json.dumps({**recorded("project"), "id": f"prj_{session_id()}"}))
    await stores.projects.create(project)
    await stores.projects.replace(project.next_revision(LATER, name="Renamed"))

    found = await stores.projects.get(ProjectId(project.id))

    assert found is not None
    written = json.loads(found.model_dump_json())
    assert (written["name"], written["color"], written["applied"][0]["by"]) == ("Renamed", "red", "agent")


async def test_rooms_pass_on_what_is_not_known(log: SessionLog, feed: RoomFeed) -> None:
    owner = f"owner_{session_id()}"
    await append_recorded(log, owner)

    (entry,) = await feed.read(Room(owner_hash(owner)), 0, 10)

    assert "budget.warning" in [event.type for event in entry.events]
    assert entry.session is not None
    assert entry.session.status == "suspended"


async def test_a_state_that_cannot_be_read_hides_no_other(log: SessionLog, database: Database) -> None:
    owner = f"owner_{session_id()}"
    states = [await create_session(log, owner=owner) for _ in range(4)]
    listed = await log.sessions(SessionFilter(owner=owner_hash(owner)), before=None, limit=4)
    await database.replace_state(listed[1].session_id, UNREADABLE)

    found = await log.sessions(SessionFilter(owner=owner_hash(owner)), before=None, limit=3)

    assert [state.session_id for state in found] == [listed[each].session_id for each in (0, 2, 3)]
    assert len(states) == 4
    with pytest.raises(SessionUnreadableError):
        await log.state(listed[1].session_id)


async def test_a_sweep_gets_the_sessions_beside_one_that_cannot_be_read(log: SessionLog, database: Database) -> None:
    deleted = [await append_events(log, await create_session(log), SessionDeleted()) for _ in range(3)]
    await database.replace_state(deleted[1].session_id, UNREADABLE)

    due = [state.session_id for state in await collect(log.due_for_clearing(LATER))]

    assert {deleted[0].session_id, deleted[2].session_id} <= {*due}
    assert deleted[1].session_id not in due


async def test_a_session_whose_state_cannot_be_read_can_be_deleted(log: SessionLog, database: Database) -> None:
    state = await append_events(log, await create_session(log, project_id="p"), SessionUpdated(changes={}))
    await database.replace_state(state.session_id, UNREADABLE)

    remains = await log.remains(state.session_id)
    assert remains is not None
    assert (remains.owner, remains.head, remains.project_id) == (state.owner, 2, "p")
    await append_events(log, remains, SessionDeleted())

    tombstone = await log.state(state.session_id)
    assert tombstone is not None
    assert tombstone.deleted
    assert fold(state, await read_all(log, state.session_id, 2)) is not None


async def test_a_session_that_does_not_exist_has_no_remains(log: SessionLog) -> None:
    assert await log.remains(SessionId("ses_none")) is None


@pytest.mark.parametrize("is_refused_first", [False, True])
async def test_a_decision_on_a_state_that_is_behind_keeps_what_a_next_release_writes_before_the_append(
    log: SessionLog, elsewhere: SessionLog, is_refused_first: bool
) -> None:
    created = await create_session(elsewhere)
    sequence, races = created.head + 1, [True]

    async def decide(state: SessionState) -> Decision[None]:
        if races:
            races.clear()
            unknown = {"sequence": sequence, "timestamp": THEN.isoformat(), "data": {"type": "session.renamed"}}
            events = load_events(json.dumps([unknown]))
            renamed = created.model_copy(update={"head": sequence, "session_name": "renamed"})
            appended = Chunk(session_id=created.session_id, writer=new_writer_id(), events=events)
            await elsewhere.append(appended, renamed)
            if is_refused_first:
                raise ValueError("refused, for a state that is behind")
        return Decision(None, [Draft(data=SessionUpdated(changes={"metadata": {"a": 1}}))])

    await SessionWriter(log, SystemClock(), created.session_id).transact(decide)

    found = await elsewhere.state(created.session_id)
    assert found is not None
    assert (found.session_name, found.metadata) == ("renamed", {"a": 1})
