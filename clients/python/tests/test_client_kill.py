"""Streams over `kill -9` of the server in the middle of a turn.

The turns are too long to end before the kill, however slow this machine is: the tests cancel them after it.
"""

import asyncio
import threading

import pytest
from client_server import Server
from turnlog_client import AsyncClient, Backoff, Client, Connection, Event, StreamOptions

FAST = Backoff(min=0.05, max=0.2)
LONG = "fake-5000-50"


def test_no_event_is_lost_or_repeated_when_the_server_is_killed_in_the_middle_of_a_turn() -> None:
    states: list[Connection] = []
    seen: list[Event] = []
    with Server.started() as server, Client(server.url) as client:
        session = client.create_session()
        session.send("Tell me a story", model=LONG)
        restarting: threading.Thread | None = None
        for event in session.events(StreamOptions(on_connection=states.append, backoff=FAST)):
            seen.append(event)
            if event.type == "message.delta" and not restarting:
                server.kill()
                restarting = threading.Thread(target=server.restart)
                restarting.start()
            if _starts_again(event):
                session.cancel()
        assert restarting is not None
        restarting.join()

    _check(seen, states)


@pytest.mark.anyio
async def test_the_async_stream_survives_the_same_kill() -> None:
    states: list[Connection] = []
    seen: list[Event] = []
    with Server.started() as server:
        async with AsyncClient(server.url) as client:
            session = await client.create_session()
            await session.send("Tell me a story", model=LONG)
            restarting: asyncio.Task[None] | None = None
            async for event in session.events(StreamOptions(on_connection=states.append, backoff=FAST)):
                seen.append(event)
                if event.type == "message.delta" and not restarting:
                    server.kill()
                    restarting = asyncio.create_task(asyncio.to_thread(server.restart))
                if _starts_again(event):
                    await session.cancel()
            assert restarting is not None
            await restarting

    _check(seen, states)


def test_a_sender_that_waits_for_the_answer_gets_it_after_a_kill_and_its_message_is_stored_once() -> None:
    with Server.started() as server, Client(server.url, max_tries=100) as client:
        session = client.create_session()
        answered: list[str] = []
        sender = threading.Thread(target=lambda: answered.append(session.send("Story", model=LONG, wait=200)["status"]))
        sender.start()
        restarting: threading.Thread | None = None
        for event in session.events(StreamOptions(follow=True, backoff=FAST)):
            if event.type == "message.delta" and not restarting:
                server.kill()
                restarting = threading.Thread(target=server.restart)
                restarting.start()
            if _starts_again(event):
                break
        session.cancel()
        sender.join()
        (message,) = session.messages()

    assert answered == [message["status"]] == ["cancelled"]


def _starts_again(event: Event) -> bool:
    return event.type == "message.start" and event.data["attempt"] == 2


def _check(seen: list[Event], states: list[Connection]) -> None:
    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    assert [event.type for event in seen].count("run.complete") == 1
    assert any(_starts_again(event) for event in seen)
    assert any(each.state == "waiting" and each.error for each in states)
    assert any(each.state == "live" and each.is_resumed for each in states)
    assert (states[-1].state, states[-1].reason) == ("ended", "finished")
