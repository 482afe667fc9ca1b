"""Forks: a new session with the same past and its own future."""

import asyncio
from typing import Any

import pytest

from tests.http.api_client import JSON, Api, is_gapless, new_id, ok, refusal, types, wait_until
from tests.http.sessions.test_http_export import assert_rebuilt
from turnlog.domain.values import Usage

pytestmark = pytest.mark.anyio

NOTHING = Usage().model_dump()


async def fork(api: Api, session_id: str, key: str | None = None, **fields: Any) -> JSON:
    headers = {} if key is None else {"idempotency-key": key}
    response = await api.http.post(f"/sessions/{session_id}/fork", json=fields, headers=headers)
    session: JSON = ok(response, 201)
    assert response.headers["location"] == f"/sessions/{session['session_id']}"
    assert response.headers["x-session-id"] == session["session_id"]
    return session


async def messages(api: Api, session_id: str) -> list[JSON]:
    return ok(await api.http.get(f"/sessions/{session_id}/messages?limit=200"))


def without_ids(view: JSON) -> JSON:
    """The fields that a copy shares with its original."""
    own = {"session_id", "message_id", "turn_id", "usage", "trace_id", "forked_from", "thread_id", "href", "node_id"}
    shared = {name: value for name, value in view.items() if name not in own}
    return {**shared, "data": without_ids(shared["data"])} if "data" in shared else shared


async def test_a_fork_has_the_same_past_under_new_ids(api: Api) -> None:
    source = await api.new_session(session_name="mine", agent_name="assistant", metadata={"a": 1}, node_id="n")
    content = 'call calculate {"expression": "6 * 7"} and use current_time {"timezone": "Asia/Tokyo"}'
    message = await api.run_turn(source, content, metadata={"by": "me"})
    await api.run_turn(source, "again")

    session = await fork(api, source)

    fork_id, before = session["session_id"], await api.session(source)
    copied = {"session_name", "agent_name", "project_id", "metadata", "created_at", "updated_at", "head", "status"}
    assert {name: session[name] for name in copied} == {name: before[name] for name in copied}
    assert session["forked_from"] == {"session_id": source, "sequence": before["head"]}
    assert before["forked_from"] is None
    assert (session["thread_id"], session["node_id"]) == (f"thread_{fork_id}", None)
    events, copies = await api.events(source), await api.events(fork_id)
    assert is_gapless(copies)
    assert [without_ids(copy) for copy in copies] == [without_ids(event) for event in events]
    assert [without_ids(copy) for copy in await messages(api, fork_id)] == [
        without_ids(message) for message in await messages(api, source)
    ]
    old = {message["message_id"], message["turn_id"], source}
    assert not any(name in str(copy) for copy in copies[1:] for name in old)
    copy = (await messages(api, fork_id))[0]
    assert copy["message_id"].endswith(fork_id)
    assert (await api.message(copy["message_id"]))["answer"] == message["answer"]
    full = ok(await api.http.get(f"/messages/{copy['message_id']}/full"))
    assert full["responses"] == ok(await api.http.get(f"/messages/{message['message_id']}/full"))["responses"]
    for call in message["tool_calls"]:
        result = ok(await api.http.get(f"/sessions/{fork_id}/tool_calls/{call['id']}"))
        assert (result["message_id"], result["status"]) == (copy["message_id"], "completed")
    await assert_rebuilt(api, fork_id)


async def test_source_and_fork_continue_independently(api: Api) -> None:
    source = await api.new_session()
    await api.run_turn(source, "my name is Ada")
    fork_id = (await fork(api, source))["session_id"]

    theirs = await api.run_turn(fork_id, "only here")
    ours = await api.run_turn(source, "only there")
    await api.http.delete(f"/sessions/{source}")

    assert [message["content"] for message in await messages(api, fork_id)] == ["my name is Ada", "only here"]
    assert theirs["message_id"] != ours["message_id"]
    # The model got the whole conversation: it used as many prompt tokens as in the source's second turn.
    assert theirs["usage"]["prompt_tokens"] == ours["usage"]["prompt_tokens"] > 0
    assert is_gapless(await api.events(fork_id))
    await assert_rebuilt(api, fork_id)


async def test_usage_before_the_fork_is_not_counted_again(api: Api) -> None:
    source = await api.new_session()
    await api.run_turn(source)

    session = await fork(api, source)
    fork_id = session["session_id"]

    assert session["usage"] == NOTHING
    assert [message["usage"] for message in await messages(api, fork_id)] == [NOTHING]
    message = await api.run_turn(fork_id)
    assert (await api.session(fork_id))["usage"] == message["usage"] != NOTHING
    again = await fork(api, fork_id)
    assert again["usage"] == NOTHING
    assert again["forked_from"]["session_id"] == fork_id
    await assert_rebuilt(api, again["session_id"])


@pytest.mark.parametrize("beyond", [0, 1, 10_000])
async def test_a_fork_ends_with_the_last_finished_turn(api: Api, beyond: int) -> None:
    source = await api.new_session()
    await api.run_turn(source, "one")
    end = (await api.session(source))["head"]
    await api.append(source, {"event_type": "note"}, {"event_type": "note"})
    if beyond < 10_000:
        await api.run_turn(source, "two")

    session = await fork(api, source, at_sequence=float(end + beyond))  # an integer in JSON Schema

    assert (session["head"], session["forked_from"]["sequence"]) == (end, end)
    assert [message["content"] for message in await messages(api, session["session_id"])] == ["one"]
    await assert_rebuilt(api, session["session_id"])


async def test_before_any_turn_has_ended_a_fork_is_a_new_session(api: Api) -> None:
    source = await api.new_session(session_name="mine")
    await api.append(source, {"event_type": "note"})

    empty = await fork(api, source)
    await api.run_turn(source)
    early = await fork(api, source, at_sequence=3, session_name="other")

    assert [session["head"] for session in (empty, early)] == [1, 1]
    assert [session["session_name"] for session in (empty, early)] == ["mine", "other"]
    assert (await api.run_turn(early["session_id"]))["status"] == "completed"
    assert types(await api.events(early["session_id"]))[:2] == ["session.created", "user_message"]


async def test_messages_that_waited_or_ran_at_the_cut_get_no_turn_in_the_fork(api: Api) -> None:
    source = await api.new_session()
    async with api.post_stream(source, model="hang-620") as stream:
        await stream.until("message.start")
        for number in range(3):
            await api.start_turn(source, f"{number}", model="hang-621", on_busy="steer" if number == 1 else "enqueue")
        await api.cancel(source)
    await api.wait_for_event(source, "run.start", 2)

    session = await fork(api, source)
    fork_id = session["session_id"]

    events = await api.events(fork_id)
    assert types(events)[-3:] == ["message.withdrawn"] * 3
    assert types(events)[session["forked_from"]["sequence"] - 1] == "run.complete"
    assert (session["status"], session["state"], session["queued"]) == ("finished", "idle", 0)
    copies = await messages(api, fork_id)
    assert {message["content"]: message["status"] for message in copies} == {
        "Hello": "cancelled",
        "0": "withdrawn",
        "1": "withdrawn",
        "2": "withdrawn",
    }
    assert [frame.event for frame in await api.read(fork_id)][-1] == "done"
    await assert_rebuilt(api, fork_id)
    assert (await api.run_turn(fork_id))["status"] == "completed"
    await api.cancel(source, queue="clear")
    await wait_until(lambda: api.session(source), lambda seen: seen["state"] == "idle" or not seen["active_turn"])


async def test_queued_messages_whose_turns_have_ended_are_copied_with_them(api: Api) -> None:
    source = await api.new_session()
    async with api.post_stream(source, model="hang-622") as stream:
        await stream.until("message.start")
        await api.start_turn(source, "steers", on_busy="steer")
        await api.start_turn(source, "waits")
        await api.cancel(source)
    await api.wait_until_idle(source)

    fork_id = (await fork(api, source))["session_id"]

    assert [without_ids(copy) for copy in await messages(api, fork_id)] == [
        without_ids(message) for message in await messages(api, source)
    ]
    await assert_rebuilt(api, fork_id)


async def test_large_texts_and_answers_are_copied(api: Api) -> None:
    source = await api.new_session()
    content = "word " * 20_000
    message = await api.run_turn(source, content, model="fake-9000-0")

    fork_id = (await fork(api, source))["session_id"]
    await api.http.delete(f"/sessions/{source}")

    [copy] = await messages(api, fork_id)
    assert (copy["content"], copy["answer"]) == (content, message["answer"])
    assert ok(await api.http.get(f"/sessions/{fork_id}/result"))["result"] == message["answer"]
    contents = [event["data"] for event in await api.events(fork_id)]
    assert [data["content"] for data in contents if "content" in data] == [content]
    await assert_rebuilt(api, fork_id)


async def test_a_fork_is_not_archived_and_may_have_another_name(api: Api) -> None:
    source = await api.new_session(session_name="first")
    async with api.post_stream(source, model="hang-623") as stream:
        await stream.until("message.start")
        ok(await api.http.patch(f"/sessions/{source}", json={"archived": True, "session_name": "second"}))
        await api.cancel(source)
    await api.wait_until_idle(source)

    unnamed, named = await fork(api, source), await fork(api, source, session_name="third")

    assert [session["session_name"] for session in (unnamed, named)] == ["second", "third"]
    assert [session["archived"] for session in (unnamed, named)] == [False, False]
    await assert_rebuilt(api, named["session_id"])


async def test_a_retry_with_the_key_returns_the_same_fork(api: Api) -> None:
    source, headers = await api.new_session(), {"idempotency-key": new_id()}
    await api.run_turn(source)
    first = await api.http.post(f"/sessions/{source}/fork", json={"session_name": "x"}, headers=headers)
    await api.run_turn(source)

    second = await api.http.post(f"/sessions/{source}/fork", json={"session_name": "x"}, headers=headers)
    other = await api.http.post(f"/sessions/{source}/fork", json={"session_name": "y"}, headers=headers)

    assert {**ok(second, 201), "trace_id": ""} == {**ok(first, 201), "trace_id": ""}
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    refusal(other, 422, "idempotency_key_reused")
    await api.http.delete(f"/sessions/{first.json()['session_id']}")
    late = await api.http.post(f"/sessions/{source}/fork", json={"session_name": "x"}, headers=headers)
    refusal(late, 409, "session_deleted")


async def test_simultaneous_forks_with_one_key_are_one_fork(api: Api) -> None:
    source, key = await api.new_session(), new_id()
    await api.run_turn(source)

    sessions = await asyncio.gather(*(fork(api, source, key) for _ in range(5)))

    assert len({session["session_id"] for session in sessions}) == 1
    await assert_rebuilt(api, sessions[0]["session_id"])
    assert len({(await fork(api, source))["session_id"] for _ in range(2)}) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"at_sequence": 0},
        {"at_sequence": "1"},
        {"at_sequence": 1.5},
        {"at_sequence": True},
        {"sequence": 1},
        {"session_name": 1},
    ],
)
async def test_an_invalid_fork_is_refused(api: Api, body: JSON) -> None:
    source = await api.new_session()

    refusal(await api.http.post(f"/sessions/{source}/fork", json=body), 422, "invalid_request")


async def test_a_missing_session_can_not_be_forked(api: Api) -> None:
    source = await api.new_session()
    await api.http.delete(f"/sessions/{source}")

    refusal(await api.http.post(f"/sessions/{source}/fork"), 404, "session_not_found")
    refusal(await api.http.post("/sessions/nowhere/fork"), 404, "session_not_found")
