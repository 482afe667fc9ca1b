"""Lists of sessions: filters, order and pages; and which sessions are due for repair."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from tests.contract.factories import LATER, RUN, THEN, append_events, collect, create_session, session_id
from turnlog.domain.events import (
    Outside,
    RunComplete,
    SessionDeleted,
    SessionUpdated,
    ToolCallAction,
    ToolCallActionRequired,
    UserMessage,
)
from turnlog.domain.ids import SessionId, owner_hash
from turnlog.domain.listing import SessionFilter, listing_key
from turnlog.domain.session import SessionState
from turnlog.ports import SessionLog

pytestmark = pytest.mark.anyio

END = RunComplete(status="completed", steps=1, usage={}, duration_ms=1, model="fake")


def ids(states: Sequence[SessionState]) -> list[str]:
    return [state.session_id for state in states]


@pytest.fixture
def owner() -> str:
    return f"owner {uuid4().hex}"


async def test_sessions_are_listed_newest_first(log: SessionLog, owner: str) -> None:
    created = [await create_session(log, owner=owner, at=THEN + timedelta(seconds=second)) for second in (2, 0, 3, 1)]
    await create_session(log, owner="another")

    listed = await log.sessions(SessionFilter(owner=owner_hash(owner)), before=None, limit=10)

    assert listed == [created[2], created[0], created[3], created[1]]


async def test_every_filter_narrows_the_list(log: SessionLog, owner: str) -> None:
    await create_session(log, owner=owner)
    wanted = await create_session(
        log, owner=owner, project_id="project", agent_name="agent", metadata={"a": "b", "q\"'$": "é"}
    )
    wanted = await append_events(log, wanted, UserMessage(content="Hello"), RUN)
    wanted = await append_events(log, wanted, END, SessionUpdated(changes={"archived": True}))

    for narrowed in (
        SessionFilter(owner=owner_hash(owner), project_id="project"),
        SessionFilter(owner=owner_hash(owner), status="finished"),
        SessionFilter(owner=owner_hash(owner), agent_name="agent"),
        SessionFilter(owner=owner_hash(owner), archived=True),
        SessionFilter(owner=owner_hash(owner), metadata={"a": "b"}),
        SessionFilter(owner=owner_hash(owner), metadata={"q\"'$": "é", "a": "b"}),
        SessionFilter(owner_hash(owner), "project", "finished", "agent", archived=True, metadata={"a": "b"}),
    ):
        assert await log.sessions(narrowed, before=None, limit=10) == [wanted], narrowed


async def test_a_filter_that_nothing_matches_lists_nothing(log: SessionLog, owner: str) -> None:
    await create_session(
        log, owner=owner, project_id="project", metadata={"number": 1, "true": True, "a": "b", "null": None}
    )

    for narrowed in (
        SessionFilter(owner=owner_hash(f"{owner}x")),
        SessionFilter(owner=owner_hash(owner), project_id="Project"),
        SessionFilter(owner=owner_hash(owner), status="finished"),
        SessionFilter(owner=owner_hash(owner), archived=True),
        SessionFilter(owner=owner_hash(owner), metadata={"a": "c"}),
        SessionFilter(owner=owner_hash(owner), metadata={"b": "b"}),
        SessionFilter(owner=owner_hash(owner), metadata={"number": "1"}),
        SessionFilter(owner=owner_hash(owner), metadata={"true": "true"}),
        SessionFilter(owner=owner_hash(owner), metadata={"null": "null"}),
        SessionFilter(owner=owner_hash(owner), metadata={"a": "b", "number": "2"}),
    ):
        assert await log.sessions(narrowed, before=None, limit=10) == [], narrowed


async def test_a_list_can_be_of_all_owners(log: SessionLog, owner: str) -> None:
    one, other = (
        await create_session(log, owner=owner, project_id=owner),
        await create_session(log, owner="another", project_id=owner),
    )

    listed = await log.sessions(SessionFilter(project_id=owner), before=None, limit=10)

    assert sorted(ids(listed)) == sorted(ids([one, other]))


@pytest.mark.parametrize("of_one_owner", [True, False])
async def test_pages_hold_each_session_once_even_if_all_were_created_at_once(
    log: SessionLog, owner: str, *, of_one_owner: bool
) -> None:
    created = [await create_session(log, owner=owner, project_id=owner) for _ in range(7)]
    wanted = SessionFilter(owner=owner_hash(owner)) if of_one_owner else SessionFilter(project_id=owner)

    pages: list[Sequence[SessionState]] = []
    before = None
    while page := await log.sessions(wanted, before=before, limit=3):
        pages.append(page)
        before = listing_key(page[-1])

    assert [len(page) for page in pages] == [3, 3, 1]
    assert ids([state for page in pages for state in page]) == sorted(ids(created), reverse=True)


async def test_sessions_created_within_a_second_are_in_order(log: SessionLog, owner: str) -> None:
    moments = [timedelta(0), timedelta(microseconds=1), timedelta(milliseconds=500), timedelta(seconds=1)]
    created = [await create_session(log, owner=owner, at=THEN + moment) for moment in moments]

    assert ids(await log.sessions(SessionFilter(owner=owner_hash(owner)), before=None, limit=9)) == ids(created[::-1])


async def test_a_deleted_session_is_not_listed(log: SessionLog, owner: str) -> None:
    live, deleted = await create_session(log, owner=owner), await create_session(log, owner=owner)

    await append_events(log, deleted, SessionDeleted())

    assert await log.sessions(SessionFilter(owner=owner_hash(owner)), before=None, limit=10) == [live]


async def _due(log: SessionLog, *among: SessionId) -> list[str]:
    return [each for each in ids(await collect(log.due_for_repair(LATER))) if each in among]


async def test_a_session_is_due_for_repair_while_a_turn_is_active(log: SessionLog) -> None:
    state = await create_session(log)
    assert await _due(log, state.session_id) == []

    state = await append_events(log, state, UserMessage(content="Hello"), RUN)
    assert await _due(log, state.session_id) == [state.session_id]
    assert state in await collect(log.due_for_repair(LATER))

    state = await append_events(log, state, END)
    assert await _due(log, state.session_id) == []


async def test_a_deleted_session_is_due_for_clearing_and_not_for_repair(log: SessionLog) -> None:
    live = await append_events(log, await create_session(log), UserMessage(content="Hello"), RUN)
    deleted = await append_events(log, live, SessionDeleted())

    assert await _due(log, live.session_id) == []
    assert deleted in await collect(log.due_for_clearing(LATER))
    assert deleted not in await collect(log.due_for_clearing(deleted.updated_at - timedelta(milliseconds=1)))


async def test_events_from_outside_do_not_delay_the_repair_of_a_turn(log: SessionLog) -> None:
    state = await append_events(log, await create_session(log), UserMessage(content="Hello"), RUN)
    await append_events(log, state, Outside(event_type="x"), at=THEN + timedelta(hours=1))

    assert state.session_id in ids(await collect(log.due_for_repair(THEN)))


async def test_more_sessions_than_a_page_are_all_due_once(log: SessionLog) -> None:
    early = THEN - timedelta(days=500)  # before all others in this store
    states = [await create_session(log, at=early) for _ in range(205)]
    for state in states:
        await append_events(log, state, UserMessage(content="Hello"), RUN, at=early)

    assert sorted(ids(await collect(log.due_for_repair(early)))) == sorted(ids(states))
    for state in states:
        await append_events(log, await log.state(state.session_id) or state, END, at=early)


async def test_the_session_that_is_due_for_longest_comes_first(log: SessionLog) -> None:
    states = [await create_session(log, session_id()) for _ in range(3)]
    for late, state in zip((2, 0, 1), states, strict=True):
        await append_events(log, state, UserMessage(content="Hello"), RUN, at=THEN + timedelta(minutes=late))

    assert await _due(log, *(state.session_id for state in states)) == ids([states[1], states[2], states[0]])


async def test_a_parked_turn_is_due_when_its_action_expires(log: SessionLog) -> None:
    expires_at = THEN + timedelta(days=7)
    state = await append_events(log, await create_session(log), UserMessage(content="Hello"), RUN)
    asked = ToolCallActionRequired(id="a", kind="approval", name="t", arguments="{}", expires_at=expires_at)
    state = await append_events(log, state, asked)

    async def is_due(at: datetime) -> bool:
        return state.session_id in ids(await collect(log.due_for_repair(at)))

    assert not await is_due(expires_at - timedelta(milliseconds=1))
    assert await is_due(expires_at)

    moment = THEN + timedelta(minutes=1)
    await append_events(log, state, ToolCallAction(id="a", decision="approve", by="me"), at=moment)
    assert not await is_due(moment - timedelta(milliseconds=1))
    assert await is_due(moment)


async def test_parked_turns_do_not_displace_others_that_are_due(log: SessionLog) -> None:
    asked = ToolCallActionRequired(
        id="a", kind="approval", name="t", arguments="{}", expires_at=THEN + timedelta(days=7)
    )
    early = THEN - timedelta(days=400)  # before all others in this store
    for _ in range(3):
        state = await append_events(
            log, await create_session(log, at=early), UserMessage(content="Hello"), RUN, at=early
        )
        await append_events(log, state, asked, at=early)
    running = await append_events(log, await create_session(log, at=early), UserMessage(content="Hello"), RUN, at=early)

    assert ids(await collect(log.due_for_repair(early))) == [running.session_id]
    await append_events(log, running, END, at=early)


async def test_a_list_keeps_its_limit(log: SessionLog, owner: str) -> None:
    for _ in range(3):
        await append_events(log, await create_session(log, owner=owner), UserMessage(content="Hello"), RUN)

    assert len(await log.sessions(SessionFilter(owner=owner_hash(owner)), before=None, limit=2)) == 2


async def test_marks_of_deleted_sessions_are_listed_only_on_request(log: SessionLog, owner: str) -> None:
    live = await create_session(log, owner=owner, project_id="p")
    gone = await create_session(log, owner=owner, project_id="p", at=THEN + timedelta(seconds=1))
    mark = await append_events(log, gone, SessionDeleted())
    await log.clear(gone.session_id)

    wanted = SessionFilter(owner=owner_hash(owner), project_id="p")
    assert await log.sessions(wanted, before=None, limit=10) == [live]
    assert await log.sessions(replace(wanted, with_deleted=True), before=None, limit=10) == [mark, live]
    assert [state.session_id for state in await log.sessions(SessionFilter(with_deleted=True), before=None, limit=2)]
