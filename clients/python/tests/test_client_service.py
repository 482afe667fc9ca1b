"""Both clients against a real server."""

from contextlib import aclosing, closing

import pytest
from client_server import Server
from turnlog_client import (
    AsyncClient,
    Client,
    ConflictError,
    Connection,
    Event,
    InvalidError,
    NotFoundError,
    StreamOptions,
)


@pytest.fixture
def client(server: Server):
    with Client(server.url) as client:
        yield client


def test_sessions_are_created_listed_read_changed_and_deleted(client: Client) -> None:
    session = client.create_session(session_name="Mine", metadata={"team": "a"})

    listed = client.list_sessions(limit=200)["sessions"]
    changed = session.update(session_name="Ours", metadata={"team": "b"}, archived=True)

    assert session.id in {each["session_id"] for each in listed}
    assert (changed["session_name"], changed["metadata"], changed["archived"]) == ("Ours", {"team": "b"}, True)
    assert session.info()["session_name"] == "Ours"
    with pytest.raises(ConflictError, match="archived"):
        session.send("Hi")
    session.delete()
    with pytest.raises(NotFoundError) as refused:
        session.info()
    assert (refused.value.code, refused.value.retryable) == ("session_not_found", False)


def test_a_message_is_answered_while_its_sender_waits(client: Client) -> None:
    message = client.create_session().send("Hello", wait=60, client_id="mine")

    assert message["status"] == "completed"
    assert message["client_id"] == "mine"
    assert (message["answer"] or "").startswith("Scripted model here")


def test_a_message_that_is_sent_twice_with_one_key_is_stored_once(client: Client) -> None:
    session = client.create_session()

    first = session.send("Hello", idempotency_key="k-1")
    second = session.send("Hello", wait=60, idempotency_key="k-1")

    assert second["message_id"] == first["message_id"]
    assert second["status"] == "completed"
    assert len(session.messages()) == 1


def test_the_events_of_a_turn_are_streamed_to_its_end_and_those_of_others_are_left_out(client: Client) -> None:
    session = client.create_session()
    session.send("First", model="fake-5000-20")

    with closing(session.stream("Second")) as stream:
        first = next(stream)
        session.cancel()
        events = [first, *stream]

    assert [events[0].type, events[-1].type] == ["message.queued", "run.complete"]
    assert {event.message_id for event in events} == {events[0].message_id}
    assert events[0].data["text"] == "Second"


def test_a_turn_is_folded_to_its_end_and_the_stream_then_ends_by_itself(client: Client) -> None:
    session = client.create_session()
    sent = session.send('call calculate {"expression": "6*7"}')

    *_, conversation = session.watch()

    (turn,) = conversation.turns
    tool = turn.steps[0].tools[0]
    assert turn.id == sent["turn_id"]
    assert (turn.status, tool.name, tool.status, tool.response) == ("completed", "calculate", "completed", 42)
    assert turn.answer.startswith("Scripted model here")
    assert len(conversation.usage) == 2
    assert turn.answer == session.messages()[0]["answer"]


def test_a_stream_at_the_end_of_a_finished_session_ends_at_once(client: Client) -> None:
    session = client.create_session()
    session.send("Hello")
    events = list(session.events())
    states: list[Connection] = []

    rest = list(session.events(StreamOptions(after=events[-1].cursor, on_connection=states.append)))

    assert rest == []
    assert [each.state for each in states] == ["connecting", "ended"]


def test_an_approval_is_given_and_another_is_denied_twice(client: Client) -> None:
    session = client.create_session(agent_name="raffle")
    session.send('call draw_lots {"names": ["Ann", "Bo"], "count": 1}')
    for conversation in session.watch():
        for action in conversation.actions:
            session.approve(action.call_id)
    session.send('call draw_lots {"names": ["Cy", "Di"], "count": 1}')
    conversation = None
    for conversation in session.watch():
        for action in conversation.actions:
            receipts = [session.deny(action.call_id, "not today") for _ in range(2)]
            assert [each["decision"] for each in receipts] == ["deny", "deny"]

    assert conversation is not None
    assert [turn.steps[0].tools[0].status for turn in conversation.turns] == ["completed", "denied"]


def test_a_turn_is_cancelled_a_waiting_message_is_withdrawn_and_the_written_text_stays(client: Client) -> None:
    session = client.create_session()
    session.send("Long", model="fake-5000-20")
    waiting = session.send("Next")
    with closing(session.watch()) as conversations:
        next(each for each in conversations if each.turns and each.turns[0].answer)
        queue = session.queue()
        session.withdraw(waiting["message_id"])
        ended = session.cancel(wait=60, reason="enough")
        *_, conversation = conversations

    assert [each["message_id"] for each in queue] == [waiting["message_id"]]
    assert ended["status"] == "cancelled"
    (turn,) = conversation.turns
    assert (turn.status, turn.steps[0].is_partial) == ("cancelled", True)
    assert turn.answer.startswith("Scripted")


def test_the_history_is_read_in_pages_from_either_end(client: Client) -> None:
    session = client.create_session()
    session.send("Hello", wait=60)

    first = session.history(limit=2, coalesce=False)
    rest = session.history(after=first.next_cursor or "", limit=1000, coalesce=False)
    newest = session.history(order="desc", limit=1, types=["run.*"])

    assert [event.sequence for event in first.events + rest.events] == list(range(1, first.head + 1))
    assert rest.next_cursor is None
    assert [event.type for event in newest.events] == ["run.complete"]


def test_an_export_is_the_whole_log_a_line_each(client: Client) -> None:
    session = client.create_session()
    session.send("Hello", wait=60)

    header, *events = session.export()

    assert '"format"' in header
    assert len(events) == session.info()["head"]


def test_a_reader_can_leave_and_continue_after_its_cursor(client: Client) -> None:
    session = client.create_session()
    session.send("Hello")
    with closing(session.events()) as events:
        first = next(events)

    rest = list(session.events(StreamOptions(after=first.cursor)))

    assert [event.sequence for event in rest] == list(range(2, len(rest) + 2))


def test_a_refusal_is_an_error_with_its_code_and_fields(client: Client) -> None:
    with pytest.raises(NotFoundError) as missing:
        list(client.session("missing").events())
    with pytest.raises(InvalidError) as wrong:
        client.create_session(session_id="no spaces, please")

    assert missing.value.code == "session_not_found"
    assert (wrong.value.status, wrong.value.errors[0].pointer) == (422, "/session_id")


def test_a_room_shows_the_sessions_and_then_what_happens_in_them(client: Client) -> None:
    with closing(client.room()) as frames:
        first = next(frames)
        session = client.create_session()
        created = next(frame for frame in frames if frame.type == "session_created")
        session.send("Hello")
        ended = next(frame for frame in frames if frame.type == "run.complete")

    assert first.type == "init"
    assert created.data["session"]["session_id"] == session.id
    assert ended.data["session_id"] == session.id


@pytest.mark.anyio
async def test_the_async_client_makes_the_same_calls(server: Server) -> None:
    async with AsyncClient(server.url) as client:
        session = await client.create_session(agent_name="raffle")
        sent = await session.send('call draw_lots {"names": ["Ann", "Bo"], "count": 1}')
        conversation = None
        async for conversation in session.watch():
            for action in conversation.actions:
                await session.approve(action.call_id)
        answered = await session.send("Hello", wait=60)
        streamed = [event async for event in session.stream("Again")]
        exported = [line async for line in session.export()]

        assert conversation is not None
        assert [(turn.id, turn.status) for turn in conversation.turns] == [(sent["turn_id"], "completed")]
        assert answered["status"] == "completed"
        assert (streamed[0].type, streamed[-1].type) == ("user_message", "run.complete")
        assert len(exported) == (await session.info())["head"] + 1
        assert (await session.cancel())["status"] == "idle"
        assert await session.queue() == []
        assert (await session.history(limit=1)).events[0].type == "session.created"
        assert (await session.update(archived=True))["archived"]
        await session.delete()
        with pytest.raises(NotFoundError):
            await session.info()


@pytest.mark.anyio
async def test_an_async_reader_can_leave_and_continue(server: Server) -> None:
    async with AsyncClient(server.url) as client:
        session = await client.create_session()
        await session.send("Hello")
        seen: list[Event] = []
        async with aclosing(session.events()) as events:
            async for event in events:
                seen.append(event)
                break

        seen += [event async for event in session.events(StreamOptions(after=seen[-1].cursor))]

        assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
