"""The messages that the SignalR output binding gets for a batch of the change feed."""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.factories import (
    DurableClient,
    append_events,
    create_session,
    deletion_scheduler,
    load_message,
    load_state,
    post_message,
)
from tests.behaviour.turns.test_whole_turns import PROMPT, run
from tests.domain.factories import OWNER, TRACE
from turnlog import wiring
from turnlog.api.edge.room_stream import RoomFrames
from turnlog.api.shapes.rooms import RoomFrame, RoomRenderer
from turnlog.changes.signalr import MAX_BYTES, TARGET, messages_of, send_to_signalr
from turnlog.domain.chunks import Draft
from turnlog.domain.errors import StoreUnavailableError
from turnlog.domain.events import MessageDelta, Outside
from turnlog.domain.ids import ProjectId, SessionId, owner_hash, public_id
from turnlog.domain.rooms import FIRST_CURSOR, Room
from turnlog.ports import ModelClient
from turnlog.services.fork import ForkRequest
from turnlog.services.log.writer import SessionWriter
from turnlog.settings import settings
from turnlog.stores.cosmos.items import chunk_item, document_item, state_item
from turnlog.wiring import Services

JSON = dict[str, Any]


class Out(func.Out[str]):
    """The object that the worker passes for an output binding."""

    def __init__(self) -> None:
        self.value: str | None = None

    def set(self, val: str) -> None:
        self.value = val

    def get(self) -> str:
        assert self.value is not None
        return self.value


async def send(documents: Iterable[JSON], out: Out | None = None) -> list[JSON]:
    """Deliver a batch of the feed; return the messages."""
    out = out or Out()
    await send_to_signalr(func.DocumentList(func.Document.from_dict(each) for each in documents), out)
    return [] if out.value is None else json.loads(out.value)


def frames_to(messages: Sequence[JSON], group: str) -> list[RoomFrame]:
    """The frames for a group, in the order in which they are sent."""
    return [frame for each in messages if each["groupName"] == group for frame in each["arguments"][0]]


def contents(frames: Iterable[RoomFrame]) -> list[tuple[str | None, JSON]]:
    return [(frame.get("event"), json.loads(frame.get("data", ""))) for frame in frames]


async def feed_of(app: Services, *sessions: SessionId) -> list[JSON]:
    """The sessions' documents as the feed delivers them: every chunk, then the session's latest state."""
    documents: list[JSON] = []
    for session in sessions:
        documents += [chunk_item(chunk) for chunk in await app.log.read(session, 0, 1000)]
        documents.append(state_item(await load_state(app, session)))
    return [{**document, "_etag": "e", "_ts": 1, "_lsn": 7} for document in documents]


async def read_stream(app: Services, room: Room, *, is_named: bool) -> list[tuple[str | None, JSON]]:
    """What a watcher of the room's stream receives."""
    frames = RoomFrames(RoomRenderer(app.log, app.sessions, is_named=is_named), app.log.incarnation)
    received: list[tuple[str | None, JSON]] = []
    async for entries in app.rooms.follow(room, FIRST_CURSOR, timedelta(0)):
        for frame in [frame for entry in entries async for frame in frames.of_entry(entry)]:
            lines = dict(line.split(": ", 1) for line in frame.decode().strip().splitlines())
            received.append((lines.get("event"), json.loads(lines["data"])))
        if not entries:
            break
    return received


async def new_project(app: Services, owner: str = OWNER) -> ProjectId:
    return (await app.projects.create(owner, "Rooms"))[0].id


async def append_outside(app: Services, session: SessionId, event_type: str, **fields: Any) -> None:
    writer = SessionWriter(app.log, app.clock, session)
    await writer.load()
    await writer.append([Draft(data=Outside(event_type=event_type, fields=fields))])


@pytest.mark.anyio
async def test_a_session_and_its_project_get_the_frames_of_their_streams(app: Services, model: ModelClient) -> None:
    project_id = await new_project(app)
    message = await post_message(app, await create_session(app, project_id=project_id), PROMPT)
    await run(message, DurableClient())

    messages = await send(await feed_of(app, message.session_id))

    to_session, to_project = (
        frames_to(messages, group) for group in (f"session:{message.session_id}", f"project:{project_id}")
    )
    assert {each["groupName"] for each in messages} == {f"session:{message.session_id}", f"project:{project_id}"}
    # A frame shows the session as it is when it is rendered: here both are rendered after the end.
    assert contents(to_session) == await read_stream(app, Room(owner_hash(OWNER)), is_named=False)
    assert contents(to_project) == await read_stream(app, Room(owner_hash(OWNER), project_id), is_named=True)
    assert "message.delta" not in json.dumps(messages)
    assert {"token_usage", "message.complete", "run.complete"} <= {frame.get("event") for frame in to_project}


@pytest.mark.anyio
async def test_a_message_has_the_form_that_the_binding_takes(app: Services) -> None:
    session = await create_session(app)

    messages = await send(await feed_of(app, session))

    assert [each.keys() for each in messages] == [{"target", "groupName", "arguments"}]  # a userId would win
    assert messages[0]["target"] == TARGET == "frames"
    (argument,) = messages[0]["arguments"]
    assert all(isinstance(value, str) for frame in argument for value in frame.values())


@pytest.mark.anyio
async def test_a_repeated_delivery_sends_the_same_unique_ids(app: Services, model: ModelClient) -> None:
    project_id = await new_project(app)
    message = await post_message(app, await create_session(app, project_id=project_id))
    await run(message, DurableClient())
    documents = await feed_of(app, message.session_id)

    first, again = await send(documents), await send(documents)
    one_by_one = [each for document in documents for each in await send([document])]

    for group in (f"session:{message.session_id}", f"project:{project_id}"):
        ids = [frame.get("id") for frame in frames_to(first, group)]
        assert len(ids) == len(set(ids)) > 3
        assert frames_to(again, group) == frames_to(first, group) == frames_to(one_by_one, group)


@pytest.mark.anyio
async def test_each_session_of_a_mixed_batch_keeps_its_order(app: Services) -> None:
    project_id = await new_project(app)
    sessions = [await create_session(app, project_id=project_id) for _ in range(2)]
    for number in range(5):
        for session in sessions:
            await append_outside(app, session, "message.complete", number=number)
    one, other = [await feed_of(app, session) for session in sessions]

    mixed = [document for pair in zip(one, other, strict=True) for document in pair]
    messages = await send(mixed)

    to_project = contents(frames_to(messages, f"project:{project_id}"))
    completed = [content for name, content in to_project if name == "message.complete"]
    for session in sessions:
        assert [each["number"] for each in completed if each["session_id"] == public_id(session)] == [0, 1, 2, 3, 4]
        own = contents(frames_to(messages, f"session:{session}"))
        assert [each["data"]["number"] for _, each in own if "number" in each.get("data", {})] == [0, 1, 2, 3, 4]
    assert [each["number"] for each in completed] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.anyio
async def test_other_documents_and_deltas_are_not_sent_and_unreadable_ones_are_skipped(app: Services) -> None:
    message = await post_message(app, await create_session(app))
    for word in ("one ", "two "):
        await append_events(app, message.session_id, MessageDelta(step=1, attempt=1, text=word))
    documents = await feed_of(app, message.session_id)
    others = [
        document_item(message.session_id, await load_message(app, message)),
        state_item(await load_state(app, message.session_id)),
    ]
    deltas = [each for each in documents if each["kind"] == "chunk" and "last_non_delta" not in each]
    broken = {**documents[0], "events": "[{"}

    assert len(deltas) == 2
    assert await send([*others, *deltas, {"id": "x"}]) == []
    assert await send([broken, *documents]) == await send(documents)


@pytest.mark.anyio
async def test_a_deletion_is_sent_without_the_deleted_content(app: Services) -> None:
    project_id = await new_project(app)
    session = await create_session(app, project_id=project_id, session_name="secret")
    await append_outside(app, session, "error", message="secret")
    before = await feed_of(app, session)
    await app.sessions.delete(OWNER, session, TRACE)

    late, messages = await send(before), await send(await feed_of(app, session))

    assert late == []  # delivered only after the deletion
    deletion = ("session_deleted", {"session_id": public_id(session)})
    assert contents(frames_to(messages, f"project:{project_id}")) == [deletion]
    to_session = [content for _, content in contents(frames_to(messages, f"session:{session}"))]
    assert to_session[-1] == {"type": "session_deleted", "session_id": public_id(session)}
    assert "secret" not in json.dumps(messages)


@pytest.mark.anyio
async def test_a_project_gets_nothing_of_another_owners_session_that_names_it(app: Services) -> None:
    theirs = await new_project(app, "somebody else")
    session = await create_session(app, project_id=theirs)
    label, unknown = (
        await create_session(app, project_id="my/label?#"),
        await create_session(app, project_id="prj_" + "0" * 26),
    )

    messages = await send(await feed_of(app, session, label, unknown))

    assert [each["groupName"] for each in messages] == [f"session:{each}" for each in (session, label, unknown)]


@pytest.mark.anyio
async def test_a_fork_is_announced_once_when_its_copy_is_complete(app: Services, model: ModelClient) -> None:
    message = await post_message(app, await create_session(app))
    await run(message, DurableClient())
    fork, _ = await app.forks.fork(OWNER, message.session_id, ForkRequest(TRACE))

    messages = await send(await feed_of(app, fork.session_id))

    names = [content["type"] for _, content in contents(frames_to(messages, f"session:{fork.session_id}"))]
    assert names.count("session_created") == 1
    assert names[0] == "session_created"


@pytest.mark.anyio
async def test_the_group_of_a_deleted_project_gets_the_deletion_of_its_sessions(app: Services) -> None:
    project_id = await new_project(app)
    session = await create_session(app, project_id=project_id)
    await app.deletions.request(OWNER, project_id, TRACE, deletion_scheduler(DurableClient()))

    messages = await send(await feed_of(app, session))

    deletion = ("session_deleted", {"session_id": public_id(session)})
    assert contents(frames_to(messages, f"project:{project_id}")) == [deletion]


@pytest.mark.anyio
async def test_without_the_store_nothing_is_sent_and_the_batch_fails(
    app: Services, environment: pytest.MonkeyPatch
) -> None:
    documents, out = await feed_of(app, await create_session(app)), Out()
    environment.setenv("COSMOS_ENDPOINT", "https://127.0.0.1:1")
    settings.cache_clear()
    wiring.services.cache_clear()

    with pytest.raises(StoreUnavailableError):
        await send(documents, out)

    assert out.value is None
    await wiring.services().log.close()


def frame(number: int, text: str) -> RoomFrame:
    return {"id": f"ses:1:{number}~1", "data": json.dumps({"type": "event", "text": text}, ensure_ascii=False)}


def size(message: Any) -> int:
    """The size in ASCII: however the host escapes characters, no form is longer."""
    return len(json.dumps({"target": message["target"], "arguments": message["arguments"]}))


_MAX_BYTES = 2000


@given(
    st.lists(st.tuples(st.sampled_from(["session:a", "session:b", "project:p"]), st.text(max_size=100)), max_size=30)
)
def test_the_fewest_messages_within_the_limit_carry_all_frames_in_order(frames: list[tuple[str, str]]) -> None:
    numbered = [(group, frame(number, text)) for number, (group, text) in enumerate(frames, 1)]

    messages = messages_of(numbered, _MAX_BYTES)

    assert all(size(each) <= _MAX_BYTES for each in messages)
    for group in {group for group, _ in numbered}:
        parts = [each["arguments"][0] for each in messages if each["groupName"] == group]
        assert [each for part in parts for each in part] == [each for name, each in numbered if name == group]
        for part, following in pairwise(parts):
            assert part
            assert size({"target": TARGET, "arguments": [[*part, following[0]]]}) > _MAX_BYTES - 100


@pytest.mark.parametrize(
    ("event", "large", "reduced"),
    [
        (
            "message.complete",
            {"step": 1, "text": "x" * MAX_BYTES, "session_id": "ses", "message_id": "msg", "sequence": 7},
            {"session_id": "ses", "message_id": "msg", "sequence": 7, "too_large": True},
        ),
        (
            None,
            {
                "type": "event",
                "data": {"type": "note", "sequence": 7, "session_id": "ses", "data": {"text": "x" * MAX_BYTES}},
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
            {"session": {"session_id": "ses", "diagnosis": '"' * MAX_BYTES}},
            {"session": {"session_id": "ses", "too_large": True}, "too_large": True},
        ),
    ],
)
def test_a_frame_that_is_too_large_is_sent_with_its_ids_only(event: str | None, large: JSON, reduced: JSON) -> None:
    named = {} if event is None else {"event": event}
    too_large = cast("RoomFrame", {"id": "ses:1:7~1", **named, "data": json.dumps(large)})
    small = frame(8, "small")

    ((frames,),) = [each["arguments"] for each in messages_of([("session:ses", too_large), ("session:ses", small)])]

    assert json.loads(frames[0].get("data", "")) == reduced
    assert {**frames[0], "data": ""} == {**too_large, "data": ""}
    assert frames[1] == small
