"""Interrupting: the running turn stops, and the message runs next."""

import pytest

from tests.http.api_client import Api, ok, refusal
from tests.http.conftest import QUEUE_LIMIT

pytestmark = pytest.mark.anyio


async def test_an_interrupting_message_stops_the_turn_and_runs_ahead_of_the_queue(api: Api) -> None:
    session_id = await api.new_session()
    first = await api.begin(session_id, "first", model="hang-920")
    waiting = await api.begin(session_id, "waiting")
    await api.wait_for(session_id, "message.delta")

    urgent = ok(await api.post(session_id, "urgent", on_busy="interrupt", model="fake-40-0"))
    await api.quiet(session_id)

    assert urgent["status"] == "completed"
    assert "“urgent”" in urgent["answer"]
    assert "given 3 messages" in urgent["answer"]
    ended = await api.message(first["message_id"])
    assert (ended["status"], bool(ended["answer"])) == ("cancelled", True)
    turns = [event["turn_id"] for event in await api.events(session_id) if event["type"] == "run.start"]
    assert turns == [first["turn_id"], urgent["turn_id"], waiting["turn_id"]]


async def test_the_stop_and_the_message_are_one_write(api: Api) -> None:
    session_id = await api.new_session()
    first = await api.begin(session_id, model="hang-921")
    await api.wait_for(session_id, "message.delta")

    urgent = await api.begin(session_id, "urgent", on_busy="interrupt")

    assert urgent["status"] == "queued"
    events = await api.events(session_id)
    stop, queued = events[urgent["sequence"] - 2 : urgent["sequence"]]
    assert (stop["type"], stop["data"]["status"], stop["turn_id"]) == ("status", "cancelling", first["turn_id"])
    assert stop["timestamp"] == queued["timestamp"]
    assert (queued["type"], queued["turn_id"], queued["data"]["on_busy"]) == (
        "message.queued",
        urgent["turn_id"],
        "interrupt",
    )
    await api.quiet(session_id)


async def test_what_had_been_put_into_the_turn_runs_after_it(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model="hang-922")
    await api.wait_for(session_id, "message.delta")
    steering = await api.begin(session_id, "steering", on_busy="steer")
    waiting = await api.begin(session_id, "waiting")

    urgent = await api.begin(session_id, "urgent", on_busy="interrupt")
    await api.quiet(session_id)

    turns = [event["message_id"] for event in await api.events(session_id) if event["type"] == "run.start"]
    assert turns[1:] == [urgent["message_id"], steering["message_id"], waiting["message_id"]]


async def test_a_full_queue_refuses_and_the_turn_runs_on(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model="hang-923")
    await api.wait_for(session_id, "message.delta")
    for number in range(QUEUE_LIMIT):
        await api.begin(session_id, model="fake-1-0", on_busy="steer" if number % 2 else "enqueue")

    for on_busy in ("interrupt", "steer", "enqueue"):
        refusal(await api.post(session_id, on_busy=on_busy), 429, "queue_full")

    assert (await api.session(session_id))["state"] == "running"
    await api.cancel(session_id, queue="clear")
    await api.quiet(session_id)
    assert (await api.say(session_id))["status"] == "completed"
