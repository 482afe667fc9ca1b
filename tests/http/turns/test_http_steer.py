"""Steering: a message joins the running turn and the next model call reads it. Interrupting: it stops the turn."""

from pathlib import Path

import pytest

from tests.http.api_client import JSON, Api, api_client, ok, refusal, running_host, wait_until
from tests.http.conftest import QUEUE_LIMIT
from tests.http.sse_client import names

pytestmark = pytest.mark.anyio

SLOW = "fake-300-3"


async def steer(api: Api, session_id: str, content: str = "be brief", **more: object) -> JSON:
    return await api.start_turn(session_id, content, on_busy="steer", **more)


async def events_of(api: Api, session_id: str, *wanted: str) -> list[tuple[str, str]]:
    """The events of these types, with the ids of their messages."""
    return [(event["type"], event["message_id"]) for event in await api.events(session_id) if event["type"] in wanted]


async def test_the_turn_reads_it_and_both_messages_share_one_end(api: Api) -> None:
    session_id = await api.new_session()
    first = await api.start_turn(session_id, "tell me", model=SLOW)
    await api.wait_for_event(session_id, "message.delta")

    second = ok(await api.post(session_id, "be brief", on_busy="steer"))

    first = await api.message(first["message_id"])
    assert (first["status"], second["status"]) == ("completed", "completed")
    assert "“be brief”" in second["answer"]
    assert "given 3 messages" in second["answer"]
    shared = ("turn_id", "answer", "status", "usage", "model", "finish_reason", "completed_at", "tool_calls")
    assert [first[name] for name in shared] == [second[name] for name in shared]
    assert (first["content"], second["content"]) == ("tell me", "be brief")
    assert first.keys() == second.keys()
    protocol = await events_of(api, session_id, "user_message", "run.start", "message.start", "run.complete")
    lead = first["message_id"]
    assert protocol == [
        ("user_message", lead),
        ("run.start", lead),
        ("message.start", lead),
        ("user_message", second["message_id"]),
        ("message.start", lead),
        ("run.complete", lead),
    ]
    full = [ok(await api.http.get(f"/messages/{each['message_id']}/full")) for each in (first, second)]
    assert full[0]["responses"] == full[1]["responses"]
    assert len(full[1]["responses"]) == 2


async def test_later_turns_see_it_at_its_position_in_the_conversation(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model=SLOW)
    await api.wait_for_event(session_id, "message.delta")
    await api.post(session_id, on_busy="steer")

    later = await api.run_turn(session_id, "and now?", model="fake-60-0")

    assert "given 5 messages" in later["answer"]
    listed = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert [message["status"] for message in listed] == ["completed"] * 3
    assert listed[0]["answer"] == listed[1]["answer"] != listed[2]["answer"]


async def test_several_messages_are_read_together_in_order(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model=SLOW)
    await api.wait_for_event(session_id, "message.delta")
    posted = [await steer(api, session_id, text) for text in ("one", "two", "three")]

    await api.wait_until_idle(session_id)

    ended = [await api.message(each["message_id"]) for each in posted]
    assert {message["status"] for message in ended} == {"completed"}
    assert len({message["turn_id"] for message in ended}) == 1
    assert "“one two three”" in ended[0]["answer"]
    assert "given 3 messages" in ended[0]["answer"]


async def test_its_stream_follows_it_into_its_own_turn(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-903")
    await api.wait_for_event(session_id, "message.delta")

    async with api.post_stream(session_id, "mine", on_busy="steer", model="fake-30-0") as stream:
        posted = await stream.until("user_message")
        await api.cancel(session_id)
        frames = await stream.read_to_end()

    assert names(frames).count("run.complete") == 2
    assert names(frames)[-2:] == ["run.complete", "done"]
    assert frames[-2].data["message_id"] == posted.data["message_id"]
    assert frames[-2].data["status"] == "completed"


@pytest.mark.parametrize("on_busy", ["steer", "interrupt"])
async def test_in_an_idle_session_steering_and_interrupting_are_ordinary(api: Api, on_busy: str) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(session_id, on_busy=on_busy)

    assert message["status"] == "completed"
    kinds = [event["type"] for event in await api.events(session_id)]
    assert kinds[:3] == ["session.created", "user_message", "run.start"]
    assert "message.queued" not in kinds


async def test_a_retry_with_its_key_returns_it(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-904")
    await api.wait_for_event(session_id, "message.delta")
    key = {"idempotency-key": "again"}

    first = await steer(api, session_id, headers=key)
    retried = await api.post(session_id, "be brief", "respond-async", on_busy="steer", headers=key)
    await api.cancel(session_id)
    await api.wait_until_idle(session_id)
    ended = await api.post(session_id, "be brief", on_busy="steer", headers=key)

    assert retried.headers["idempotency-replayed"] == "true"
    assert ok(retried, 202) == first
    assert ok(ended)["message_id"] == first["message_id"]
    assert ok(ended)["status"] == "completed"
    assert ok(ended)["turn_id"] != first["turn_id"]


async def test_after_a_crash_a_steered_turn_continues_with_the_message(
    tmp_path: Path, store_environment: dict[str, str]
) -> None:
    with running_host(tmp_path, store_environment) as host:
        async with api_client(host) as api:
            session_id = await api.new_session()
            first = await api.start_turn(session_id, "tell me", model="fake-400-5")
            await api.wait_for_event(session_id, "message.delta")
            second = await steer(api, session_id)
            host.kill()
    with running_host(tmp_path, store_environment) as host:
        async with api_client(host) as api:
            ended = await wait_until(
                lambda: api.message(second["message_id"]), lambda seen: seen["status"] != "running"
            )

            assert (ended["status"], ended["turn_id"]) == ("completed", first["turn_id"])
            assert "“tell me be brief”" in ended["answer"]
            assert (await api.message(first["message_id"]))["answer"] == ended["answer"]
            posted = await events_of(api, session_id, "user_message")
            assert posted == [("user_message", first["message_id"]), ("user_message", second["message_id"])]


async def test_an_archived_session_refuses_steering_and_interrupting(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-905")
    await api.http.patch(f"/sessions/{session_id}", json={"archived": True})

    for on_busy in ("steer", "interrupt"):
        refusal(await api.post(session_id, on_busy=on_busy), 409, "session_archived")
    assert (await api.session(session_id))["state"] == "running"
    await api.cancel(session_id)


# Interrupting


async def test_an_interrupting_message_stops_the_turn_and_runs_ahead_of_the_queue(api: Api) -> None:
    session_id = await api.new_session()
    first = await api.start_turn(session_id, "first", model="hang-920")
    waiting = await api.start_turn(session_id, "waiting")
    await api.wait_for_event(session_id, "message.delta")

    urgent = ok(await api.post(session_id, "urgent", on_busy="interrupt", model="fake-40-0"))
    await api.wait_until_idle(session_id)

    assert urgent["status"] == "completed"
    assert "“urgent”" in urgent["answer"]
    assert "given 3 messages" in urgent["answer"]
    ended = await api.message(first["message_id"])
    assert (ended["status"], bool(ended["answer"])) == ("cancelled", True)
    turns = [event["turn_id"] for event in await api.events(session_id) if event["type"] == "run.start"]
    assert turns == [first["turn_id"], urgent["turn_id"], waiting["turn_id"]]


async def test_a_full_queue_refuses_messages_and_the_turn_continues(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-923")
    await api.wait_for_event(session_id, "message.delta")
    for number in range(QUEUE_LIMIT):
        await api.start_turn(session_id, model="fake-1-0", on_busy="steer" if number % 2 else "enqueue")

    for on_busy in ("interrupt", "steer", "enqueue"):
        refusal(await api.post(session_id, on_busy=on_busy), 429, "queue_full")

    assert (await api.session(session_id))["state"] == "running"
    await api.cancel(session_id, queue="clear")
    await api.wait_until_idle(session_id)
    assert (await api.run_turn(session_id))["status"] == "completed"
