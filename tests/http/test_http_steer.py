"""Steering: a message goes into the running turn, and the next model call reads it."""

from pathlib import Path

import pytest

from tests.http.api_client import JSON, Api, api_of, is_gapless, ok, refusal, running_host, until
from tests.http.sse_client import names

pytestmark = pytest.mark.anyio

SLOW = "fake-300-3"


async def steer(api: Api, session_id: str, content: str = "be brief", **more: object) -> JSON:
    return await api.begin(session_id, content, on_busy="steer", **more)


async def of_type(api: Api, session_id: str, *wanted: str) -> list[tuple[str, str]]:
    """Events of some types, with their message's id."""
    return [(event["type"], event["message_id"]) for event in await api.events(session_id) if event["type"] in wanted]


async def test_a_steering_message_is_in_the_running_turn_at_once(api: Api) -> None:
    session_id = await api.new_session()
    first = await api.begin(session_id, model="hang-900")
    await api.wait_for(session_id, "message.delta")

    second = await steer(api, session_id)

    assert (second["status"], second["turn_id"]) == ("running", first["turn_id"])
    assert second["message_id"] != first["message_id"]
    said: JSON = (await api.events(session_id))[int(second["sequence"]) - 1]
    assert (said["type"], said["turn_id"], said["message_id"]) == (
        "user_message",
        first["turn_id"],
        second["message_id"],
    )
    assert said["data"]["content"] == "be brief"
    session = await api.session(session_id)
    assert (session["queued"], session["state"]) == (0, "running")
    await api.cancel(session_id, queue="clear")


async def test_the_turn_goes_on_with_it_and_both_messages_have_one_end(api: Api) -> None:
    session_id = await api.new_session()
    first = await api.begin(session_id, "tell me", model=SLOW)
    await api.wait_for(session_id, "message.delta")

    second = ok(await api.post(session_id, "be brief", on_busy="steer"))

    first = await api.message(first["message_id"])
    assert (first["status"], second["status"]) == ("completed", "completed")
    assert "“be brief”" in second["answer"]
    assert "given 3 messages" in second["answer"]
    shared = ("turn_id", "answer", "status", "usage", "model", "finish_reason", "completed_at", "tool_calls")
    assert [first[name] for name in shared] == [second[name] for name in shared]
    assert (first["content"], second["content"]) == ("tell me", "be brief")
    assert first.keys() == second.keys()
    protocol = await of_type(api, session_id, "user_message", "run.start", "message.start", "run.complete")
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


async def test_later_turns_find_it_where_it_was_said(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model=SLOW)
    await api.wait_for(session_id, "message.delta")
    await api.post(session_id, on_busy="steer")

    later = await api.say(session_id, "and now?", model="fake-60-0")

    assert "given 5 messages" in later["answer"]
    listed = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert [message["status"] for message in listed] == ["completed"] * 3
    assert listed[0]["answer"] == listed[1]["answer"] != listed[2]["answer"]


async def test_a_turn_that_asked_for_tools_reads_it_after_their_results(api: Api) -> None:
    session_id = await api.new_session()
    prompt = 'call calculate {"expression": "' + " + ".join(["1"] * 40) + '"}'
    await api.begin(session_id, prompt, model="fake-60-25")
    await api.wait_for(session_id, "message.start")

    second = ok(await api.post(session_id, "thanks", on_busy="steer"))

    assert "“thanks”" in second["answer"]
    assert "given 4 messages" in second["answer"]
    assert len(second["tool_calls"]) == 1
    assert is_gapless(await api.events(session_id))


async def test_several_are_read_together_in_order(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model=SLOW)
    await api.wait_for(session_id, "message.delta")
    said = [await steer(api, session_id, text) for text in ("one", "two", "three")]

    await api.quiet(session_id)

    ended = [await api.message(each["message_id"]) for each in said]
    assert {message["status"] for message in ended} == {"completed"}
    assert len({message["turn_id"] for message in ended}) == 1
    assert "“three”" in ended[0]["answer"]
    assert "given 5 messages" in ended[0]["answer"]


async def test_it_becomes_the_next_turn_if_the_running_one_is_cancelled(api: Api) -> None:
    session_id = await api.new_session()
    first = await api.begin(session_id, model="hang-901")
    waiting = await api.begin(session_id, "waiting")
    await api.wait_for(session_id, "message.delta")
    steering = [await steer(api, session_id, text) for text in ("one", "two")]

    await api.cancel(session_id)
    await api.quiet(session_id)

    one, two, last = [await api.message(each["message_id"]) for each in (*steering, waiting)]
    assert [message["status"] for message in (one, two, last)] == ["completed"] * 3
    assert "“one”" in one["answer"]
    assert "“two”" in two["answer"]
    turns = [event["turn_id"] for event in await api.events(session_id) if event["type"] == "run.start"]
    assert turns == [first["turn_id"], one["turn_id"], two["turn_id"], last["turn_id"]]
    moved = await of_type(api, session_id, "message.queued", "user_message")
    assert moved[-5:-3] == [("message.queued", one["message_id"]), ("message.queued", two["message_id"])]


async def test_it_becomes_the_next_turn_if_the_running_one_fails(api: Api) -> None:
    session_id = await api.new_session()
    first = await api.begin(session_id, model="mute-30")
    await api.wait_for(session_id, "message.start")
    await api.cancel(session_id)
    failing = await api.begin(session_id, model="flaky-9-steered")
    await api.wait_for(session_id, "message.start", 2)

    second = ok(await api.post(session_id, "again", on_busy="steer"))

    assert (await api.message(failing["message_id"]))["status"] == "failed"
    assert (second["status"], second["error"]) == ("completed", None)
    assert second["turn_id"] not in {first["turn_id"], failing["turn_id"]}


async def test_a_turn_that_is_stopping_reads_no_more_and_the_message_is_next(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model="hang-902")
    behind = await api.begin(session_id, "behind")
    await api.wait_for(session_id, "message.delta")
    await api.http.post(f"/sessions/{session_id}/cancel")

    steering = await steer(api, session_id, "next")
    await api.quiet(session_id)

    done = [await api.message(each["message_id"]) for each in (steering, behind)]
    assert [message["status"] for message in done] == ["completed"] * 2
    # The turn may have ended by then: in that case the one behind has begun, and is steered.
    assert done[0]["completed_at"] <= done[1]["completed_at"]


async def test_its_stream_and_its_wait_follow_it_into_its_own_turn(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model="hang-903")
    await api.wait_for(session_id, "message.delta")

    async with api.posting(session_id, "mine", on_busy="steer", model="fake-30-0") as stream:
        said = await stream.until("user_message")
        await api.cancel(session_id)
        frames = await stream.rest()

    assert names(frames).count("run.complete") == 2
    assert names(frames)[-2:] == ["run.complete", "done"]
    assert frames[-2].data["message_id"] == said.data["message_id"]
    assert frames[-2].data["status"] == "completed"


@pytest.mark.parametrize("on_busy", ["steer", "interrupt"])
async def test_in_an_idle_session_it_is_an_ordinary_message(api: Api, on_busy: str) -> None:
    session_id = await api.new_session()

    message = await api.say(session_id, on_busy=on_busy)

    assert message["status"] == "completed"
    kinds = [event["type"] for event in await api.events(session_id)]
    assert kinds[:3] == ["session.created", "user_message", "run.start"]
    assert "message.queued" not in kinds


async def test_a_retry_with_its_key_finds_it(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model="hang-904")
    await api.wait_for(session_id, "message.delta")
    key = {"idempotency-key": "again"}

    first = await steer(api, session_id, headers=key)
    retried = await api.post(session_id, "be brief", "respond-async", on_busy="steer", headers=key)
    await api.cancel(session_id)
    await api.quiet(session_id)
    ended = await api.post(session_id, "be brief", on_busy="steer", headers=key)

    assert retried.headers["idempotency-replayed"] == "true"
    assert ok(retried, 202) == first
    assert ok(ended)["message_id"] == first["message_id"]
    assert ok(ended)["status"] == "completed"
    assert ok(ended)["turn_id"] != first["turn_id"]


async def test_a_steered_turn_that_is_killed_goes_on_with_the_message(
    tmp_path: Path, store_environment: dict[str, str]
) -> None:
    with running_host(tmp_path, store_environment) as host:
        async with api_of(host) as api:
            session_id = await api.new_session()
            first = await api.begin(session_id, "tell me", model="fake-400-5")
            await api.wait_for(session_id, "message.delta")
            second = await steer(api, session_id)
            host.kill()
    with running_host(tmp_path, store_environment) as host:
        async with api_of(host) as api:
            ended = await until(lambda: api.message(second["message_id"]), lambda seen: seen["status"] != "running")

            assert (ended["status"], ended["turn_id"]) == ("completed", first["turn_id"])
            assert "“be brief”" in ended["answer"]
            assert (await api.message(first["message_id"]))["answer"] == ended["answer"]
            said = await of_type(api, session_id, "user_message")
            assert said == [("user_message", first["message_id"]), ("user_message", second["message_id"])]


async def test_what_refuses_messages_refuses_steering(api: Api) -> None:
    session_id = await api.new_session()
    await api.begin(session_id, model="hang-905")
    await api.http.patch(f"/sessions/{session_id}", json={"archived": True})

    for on_busy in ("steer", "interrupt"):
        refusal(await api.post(session_id, on_busy=on_busy), 409, "session_archived")
    assert (await api.session(session_id))["state"] == "running"
    await api.cancel(session_id)
