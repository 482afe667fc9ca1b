"""What the SignalR output binding is given for what the change feed delivers."""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from changes.broadcast import broadcast
from changes.signalr_messages import MOST_BYTES, TARGET, messages_of
from shared import wiring
from shared.api.sessions import session_view
from shared.api.shapes.room_frames import RoomForm, RoomFrame
from shared.domain.chunks import Draft
from shared.domain.errors import StoreUnavailableError
from shared.domain.events import MessageDelta, Outside
from shared.domain.ids import ProjectId, SessionId
from shared.domain.rooms import FIRST_CURSOR, Room
from shared.ports import ModelClient
from shared.services.fork import ForkRequest
from shared.services.writer import SessionWriter
from shared.settings import settings
from shared.stores.cosmos.items import chunk_item, document_item, state_item
from shared.wiring import Services
from tests.unit.telling import OWNER, TRACE, Client, appended, kept, opened, posted, state_of
from tests.unit.test_whole_turns import PROMPT, run

JSON = dict[str, Any]


class Out(func.Out[str]):
    """What the worker hands in for an output binding, as far as a function sees it."""

    def __init__(self) -> None:
        self.value: str | None = None

    def set(self, val: str) -> None:
        self.value = val

    def get(self) -> str:
        assert self.value is not None
        return self.value


async def sent(documents: Iterable[JSON]) -> list[JSON]:
    """The messages for one delivery of the feed."""
    out = Out()
    await broadcast(func.DocumentList(func.Document.from_dict(each) for each in documents), out)
    return [] if out.value is None else json.loads(out.value)


def told(messages: Sequence[JSON], group: str) -> list[RoomFrame]:
    """The frames for a group, in the order in which they are sent."""
    return [frame for each in messages if each["groupName"] == group for frame in each["arguments"][0]]


def data(frames: Iterable[RoomFrame]) -> list[tuple[str | None, JSON]]:
    return [(frame.get("event"), json.loads(frame.get("data", ""))) for frame in frames]


async def fed(on: Services, *sessions: SessionId) -> list[JSON]:
    """The sessions' documents as a feed delivers them: every chunk, and the newest state behind each session's."""
    documents: list[JSON] = []
    for session in sessions:
        documents += [chunk_item(chunk) for chunk in await on.log.read(session, 0, 1000)]
        documents.append(state_item(await state_of(on, session)))
    return [{**document, "_etag": "e", "_ts": 1, "_lsn": 7} for document in documents]


async def streamed(on: Services, room: Room, *, is_named: bool) -> list[tuple[str | None, JSON]]:
    """What a watcher of the room's stream has seen so far."""
    form = RoomForm(on.log, session_view, is_named=is_named)
    seen: list[tuple[str | None, JSON]] = []
    async for entries in on.rooms.follow(room, FIRST_CURSOR, timedelta(0)):
        for frame in [frame for entry in entries for frame in await form.frames(entry)]:
            lines = dict(line.split(": ", 1) for line in frame.decode().strip().splitlines())
            seen.append((lines.get("event"), json.loads(lines["data"])))
        if not entries:
            break
    return seen


async def project(on: Services, owner: str = OWNER) -> ProjectId:
    return (await on.projects.create(owner, "Rooms"))[0].id


async def said(on: Services, session: SessionId, event_type: str, **fields: Any) -> None:
    writer = SessionWriter(on.log, on.clock, session)
    await writer.load()
    await writer.append([Draft(data=Outside(event_type=event_type, fields=fields))])


@pytest.mark.anyio
async def test_the_groups_of_a_session_and_its_project_are_told_what_the_streams_tell(
    on: Services, model: ModelClient
) -> None:
    project_id = await project(on)
    message = await posted(on, await opened(on, project_id=project_id), PROMPT)
    await run(message, Client())

    messages = await sent(await fed(on, message.session_id))

    of_session, of_project = (
        told(messages, group) for group in (f"session:{message.session_id}", f"project:{project_id}")
    )
    assert {each["groupName"] for each in messages} == {f"session:{message.session_id}", f"project:{project_id}"}
    # A session's state is told as it is when it is told: the stream is read after the end, as the feed is.
    assert data(of_session) == await streamed(on, Room(OWNER), is_named=False)
    assert data(of_project) == await streamed(on, Room(OWNER, project_id), is_named=True)
    assert "message.delta" not in json.dumps(messages)
    assert {"token_usage", "message.complete", "run.complete"} <= {frame.get("event") for frame in of_project}


@pytest.mark.anyio
async def test_a_message_has_the_form_that_the_binding_takes(on: Services) -> None:
    session = await opened(on)

    messages = await sent(await fed(on, session))

    assert [each.keys() for each in messages] == [{"target", "groupName", "arguments"}]  # a userId would go before
    assert messages[0]["target"] == TARGET == "frames"
    (argument,) = messages[0]["arguments"]
    assert all(isinstance(value, str) for frame in argument for value in frame.values())


@pytest.mark.anyio
async def test_what_is_delivered_again_has_the_same_ids_and_no_two_frames_have_one(
    on: Services, model: ModelClient
) -> None:
    project_id = await project(on)
    message = await posted(on, await opened(on, project_id=project_id))
    await run(message, Client())
    documents = await fed(on, message.session_id)

    first, again = await sent(documents), await sent(documents)
    one_by_one = [each for document in documents for each in await sent([document])]

    for group in (f"session:{message.session_id}", f"project:{project_id}"):
        ids = [frame.get("id") for frame in told(first, group)]
        assert len(ids) == len(set(ids)) > 3
        assert told(again, group) == told(first, group) == told(one_by_one, group)


@pytest.mark.anyio
async def test_sessions_that_come_mixed_are_each_told_in_order(on: Services) -> None:
    project_id = await project(on)
    sessions = [await opened(on, project_id=project_id) for _ in range(2)]
    for number in range(5):
        for session in sessions:
            await said(on, session, "message.complete", number=number)
    one, other = [await fed(on, session) for session in sessions]

    mixed = [document for pair in zip(one, other, strict=True) for document in pair]
    messages = await sent(mixed)

    frames = [content for name, content in data(told(messages, f"project:{project_id}")) if name == "message.complete"]
    for session in sessions:
        assert [each["number"] for each in frames if each["session_id"] == session] == [0, 1, 2, 3, 4]
        own = data(told(messages, f"session:{session}"))
        assert [each["data"]["number"] for _, each in own if "number" in each.get("data", {})] == [0, 1, 2, 3, 4]
    assert [each["number"] for each in frames] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.anyio
async def test_other_documents_and_deltas_tell_nothing_and_unreadable_ones_hold_up_nobody(
    on: Services,
) -> None:
    message = await posted(on, await opened(on))
    for word in ("one ", "two "):
        await appended(on, message.session_id, MessageDelta(step=1, attempt=1, text=word))
    documents = await fed(on, message.session_id)
    others = [
        document_item(message.session_id, await kept(on, message)),
        state_item(await state_of(on, message.session_id)),
    ]
    deltas = [each for each in documents if each["kind"] == "chunk" and "last_non_delta" not in each]
    broken = {**documents[0], "events": "[{"}

    assert len(deltas) == 2
    assert await sent([*others, *deltas, {"id": "x"}]) == []
    assert await sent([broken, *documents]) == await sent(documents)


@pytest.mark.anyio
async def test_a_deletion_is_told_and_nothing_of_the_session_after_it(on: Services) -> None:
    project_id = await project(on)
    session = await opened(on, project_id=project_id, session_name="secret")
    await said(on, session, "error", message="secret")
    before = await fed(on, session)
    await on.sessions.delete(OWNER, session, TRACE)

    late, messages = await sent(before), await sent(await fed(on, session))

    assert late == []  # delivered only after the deletion
    assert data(told(messages, f"project:{project_id}")) == [("session_deleted", {"session_id": session})]
    of_session = [content for _, content in data(told(messages, f"session:{session}"))]
    assert of_session[-1] == {"type": "session_deleted", "session_id": session}
    assert "secret" not in json.dumps(messages)


@pytest.mark.anyio
async def test_a_project_is_not_told_of_sessions_of_another_owner_that_name_it(on: Services) -> None:
    theirs = await project(on, "somebody else")
    session = await opened(on, project_id=theirs)
    label, unknown = await opened(on, project_id="my/label?#"), await opened(on, project_id="prj_" + "0" * 26)

    messages = await sent(await fed(on, session, label, unknown))

    assert [each["groupName"] for each in messages] == [f"session:{each}" for each in (session, label, unknown)]


@pytest.mark.anyio
async def test_a_fork_is_told_of_once_it_is_a_session(on: Services, model: ModelClient) -> None:
    message = await posted(on, await opened(on))
    await run(message, Client())
    fork, _ = await on.forks.fork(OWNER, message.session_id, ForkRequest(TRACE))

    messages = await sent(await fed(on, fork.session_id))

    names = [content["type"] for _, content in data(told(messages, f"session:{fork.session_id}"))]
    assert names.count("session_created") == 1
    assert names[0] == "session_created"


@pytest.mark.anyio
async def test_a_deleted_projects_group_is_told_of_its_sessions_end(on: Services) -> None:
    project_id = await project(on)
    session = await opened(on, project_id=project_id)
    await on.projects.delete(OWNER, project_id, TRACE)

    messages = await sent(await fed(on, session))

    assert data(told(messages, f"project:{project_id}")) == [("session_deleted", {"session_id": session})]


@pytest.mark.anyio
async def test_nothing_is_told_when_the_store_does_not_answer_so_that_all_of_it_comes_again(
    on: Services, environment: pytest.MonkeyPatch
) -> None:
    documents, out = await fed(on, await opened(on)), Out()
    environment.setenv("COSMOS_ENDPOINT", "https://127.0.0.1:1")
    settings.cache_clear()
    wiring.services.cache_clear()

    with pytest.raises(StoreUnavailableError):
        await broadcast(func.DocumentList(func.Document.from_dict(each) for each in documents), out)

    assert out.value is None
    await wiring.services().log.close()


def frame(number: int, text: str) -> RoomFrame:
    return {"id": f"ses:1:{number}~1", "data": json.dumps({"type": "event", "text": text}, ensure_ascii=False)}


def size(message: Any) -> int:
    """As the service counts it, however the host escapes: in ASCII nothing takes more."""
    return len(json.dumps({"target": message["target"], "arguments": message["arguments"]}))


_MOST = 2000


@given(
    st.lists(st.tuples(st.sampled_from(["session:a", "session:b", "project:p"]), st.text(max_size=100)), max_size=30)
)
def test_messages_tell_each_group_everything_in_order_within_the_limit(frames: list[tuple[str, str]]) -> None:
    numbered = [(group, frame(number, text)) for number, (group, text) in enumerate(frames, 1)]

    messages = messages_of(numbered, _MOST)

    assert all(size(each) <= _MOST for each in messages)
    for group in {group for group, _ in numbered}:
        parts = [each["arguments"][0] for each in messages if each["groupName"] == group]
        assert [each for part in parts for each in part] == [each for name, each in numbered if name == group]
        for part, following in pairwise(parts):  # as few as can be
            assert part
            assert size({"target": TARGET, "arguments": [[*part, following[0]]]}) > _MOST - 100


@pytest.mark.parametrize(
    ("event", "large", "left"),
    [
        (
            "message.complete",
            {"step": 1, "text": "x" * MOST_BYTES, "session_id": "ses", "message_id": "msg", "sequence": 7},
            {"session_id": "ses", "message_id": "msg", "sequence": 7, "too_large": True},
        ),
        (
            None,
            {
                "type": "event",
                "data": {"type": "note", "sequence": 7, "session_id": "ses", "data": {"text": "x" * MOST_BYTES}},
            },
            {
                "type": "event",
                "data": {
                    "type": "note",
                    "session_id": "ses",
                    "sequence": 7,
                    "data": {"too_large": True},
                    "too_large": True,
                },
                "too_large": True,
            },
        ),
        (
            "session_updated",
            {"session": {"session_id": "ses", "diagnosis": '"' * MOST_BYTES}},
            {"session": {"session_id": "ses", "too_large": True}, "too_large": True},
        ),
    ],
)
def test_a_frame_that_the_service_would_not_take_says_what_to_read_instead(
    event: str | None, large: JSON, left: JSON
) -> None:
    named = {} if event is None else {"event": event}
    given = cast("RoomFrame", {"id": "ses:1:7~1", **named, "data": json.dumps(large)})

    small = frame(8, "small")
    ((sole,),) = [each["arguments"] for each in messages_of([("session:ses", given), ("session:ses", small)])]

    assert json.loads(sole[0].get("data", "")) == left
    assert {name: value for name, value in sole[0].items() if name != "data"} == {
        name: value for name, value in given.items() if name != "data"
    }
    assert sole[1] == small
