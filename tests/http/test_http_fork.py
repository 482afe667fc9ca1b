"""Forks: another session with the same past, and a future of its own."""

import asyncio
from typing import Any

import pytest

from tests.http.api_client import JSON, Api, is_gapless, new_id, ok, refusal, types, until
from tests.http.test_http_export import assert_rebuilt

pytestmark = pytest.mark.anyio

NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


async def forked(api: Api, session_id: str, key: str | None = None, **fields: Any) -> JSON:
    headers = {} if key is None else {"idempotency-key": key}
    response = await api.http.post(f"/sessions/{session_id}/fork", json=fields, headers=headers)
    session: JSON = ok(response, 201)
    assert response.headers["location"] == f"/sessions/{session['session_id']}"
    assert response.headers["x-session-id"] == session["session_id"]
    return session


async def messages(api: Api, session_id: str) -> list[JSON]:
    return ok(await api.http.get(f"/sessions/{session_id}/messages?limit=200"))


def without_ids(told: JSON) -> JSON:
    """What a copy shares with what it was copied from."""
    own = {"session_id", "message_id", "turn_id", "usage", "trace_id", "forked_from", "thread_id", "href", "node_id"}
    shared = {name: value for name, value in told.items() if name not in own}
    return {**shared, "data": without_ids(shared["data"])} if "data" in shared else shared


async def test_a_fork_has_the_same_past_under_ids_of_its_own(api: Api) -> None:
    source = await api.new_session(session_name="mine", agent_name="assistant", metadata={"a": 1}, node_id="n")
    prompt = 'call calculate {"expression": "6 * 7"} and use current_time {"timezone": "Asia/Tokyo"}'
    said = await api.say(source, prompt, metadata={"by": "me"})
    await api.say(source, "again")

    session = await forked(api, source)

    made, before = session["session_id"], await api.session(source)
    kept = {"session_name", "agent_name", "project_id", "metadata", "created_at", "updated_at", "head", "status"}
    assert {name: session[name] for name in kept} == {name: before[name] for name in kept}
    assert session["forked_from"] == {"session_id": source, "sequence": before["head"]}
    assert before["forked_from"] is None
    assert (session["thread_id"], session["node_id"]) == (f"thread_{made}", None)
    events, copies = await api.events(source), await api.events(made)
    assert is_gapless(copies)
    assert [without_ids(copy) for copy in copies] == [without_ids(event) for event in events]
    assert [without_ids(copy) for copy in await messages(api, made)] == [
        without_ids(message) for message in await messages(api, source)
    ]
    old = {said["message_id"], said["turn_id"], source}
    assert not any(name in str(copy) for copy in copies[1:] for name in old)
    copy = (await messages(api, made))[0]
    assert copy["message_id"].endswith(made)
    assert (await api.message(copy["message_id"]))["answer"] == said["answer"]
    full = ok(await api.http.get(f"/messages/{copy['message_id']}/full"))
    assert full["responses"] == ok(await api.http.get(f"/messages/{said['message_id']}/full"))["responses"]
    for call in said["tool_calls"]:
        result = ok(await api.http.get(f"/sessions/{made}/tool_calls/{call['id']}"))
        assert (result["message_id"], result["status"]) == (copy["message_id"], "completed")
    await assert_rebuilt(api, made)


async def test_source_and_fork_go_on_without_each_other(api: Api) -> None:
    source = await api.new_session()
    await api.say(source, "my name is Ada")
    made = (await forked(api, source))["session_id"]

    theirs = await api.say(made, "only here")
    ours = await api.say(source, "only there")
    await api.http.delete(f"/sessions/{source}")

    assert [message["content"] for message in await messages(api, made)] == ["my name is Ada", "only here"]
    assert theirs["message_id"] != ours["message_id"]
    # The model was told the whole conversation: as many prompt tokens as the source's second turn used.
    assert theirs["usage"]["prompt_tokens"] == ours["usage"]["prompt_tokens"] > 0
    assert is_gapless(await api.events(made))
    await assert_rebuilt(api, made)


async def test_what_was_used_before_the_fork_is_not_counted_again(api: Api) -> None:
    source = await api.new_session()
    await api.say(source)

    session = await forked(api, source)
    made = session["session_id"]

    assert session["usage"] == NOTHING
    assert [message["usage"] for message in await messages(api, made)] == [NOTHING]
    said = await api.say(made)
    assert (await api.session(made))["usage"] == said["usage"] != NOTHING
    again = await forked(api, made)
    assert again["usage"] == NOTHING
    assert again["forked_from"]["session_id"] == made
    await assert_rebuilt(api, again["session_id"])


@pytest.mark.parametrize("beyond", [0, 1, 10_000])
async def test_a_fork_ends_with_the_last_turn_that_had_ended(api: Api, beyond: int) -> None:
    source = await api.new_session()
    await api.say(source, "one")
    end = (await api.session(source))["head"]
    await api.append(source, {"event_type": "note"}, {"event_type": "note"})
    if beyond < 10_000:
        await api.say(source, "two")

    session = await forked(api, source, at_sequence=float(end + beyond))  # to JSON Schema an integer

    assert (session["head"], session["forked_from"]["sequence"]) == (end, end)
    assert [message["content"] for message in await messages(api, session["session_id"])] == ["one"]
    await assert_rebuilt(api, session["session_id"])


async def test_before_any_turn_has_ended_a_fork_is_a_new_session(api: Api) -> None:
    source = await api.new_session(session_name="mine")
    await api.append(source, {"event_type": "note"})

    empty = await forked(api, source)
    await api.say(source)
    early = await forked(api, source, at_sequence=3, session_name="other")

    assert [session["head"] for session in (empty, early)] == [1, 1]
    assert [session["session_name"] for session in (empty, early)] == ["mine", "other"]
    assert (await api.say(early["session_id"]))["status"] == "completed"
    assert types(await api.events(early["session_id"]))[:2] == ["session.created", "user_message"]


async def test_what_waited_or_ran_at_the_cut_has_no_turn_in_the_fork(api: Api) -> None:
    source = await api.new_session()
    async with api.posting(source, model="hang-620") as stream:
        await stream.until("message.start")
        for number in range(3):
            await api.begin(source, f"{number}", model="hang-621", on_busy="steer" if number == 1 else "enqueue")
        await api.cancel(source)
    await api.wait_for(source, "run.start", 2)

    session = await forked(api, source)
    made = session["session_id"]

    events = await api.events(made)
    assert types(events)[-3:] == ["message.withdrawn"] * 3
    assert types(events)[session["forked_from"]["sequence"] - 1] == "run.complete"
    assert (session["status"], session["state"], session["queued"]) == ("finished", "idle", 0)
    copies = await messages(api, made)
    assert {message["content"]: message["status"] for message in copies} == {
        "Hello": "cancelled",
        "0": "withdrawn",
        "1": "withdrawn",
        "2": "withdrawn",
    }
    assert [frame.event for frame in await api.read(made)][-1] == "done"
    await assert_rebuilt(api, made)
    assert (await api.say(made))["status"] == "completed"
    await api.cancel(source, queue="clear")
    await until(lambda: api.session(source), lambda seen: seen["state"] == "idle" or not seen["active_turn"])


async def test_queued_messages_whose_turns_have_ended_are_copied_with_them(api: Api) -> None:
    source = await api.new_session()
    async with api.posting(source, model="hang-622") as stream:
        await stream.until("message.start")
        await api.begin(source, "steers", on_busy="steer")
        await api.begin(source, "waits")
        await api.cancel(source)
    await api.quiet(source)

    made = (await forked(api, source))["session_id"]

    assert [without_ids(copy) for copy in await messages(api, made)] == [
        without_ids(message) for message in await messages(api, source)
    ]
    await assert_rebuilt(api, made)


async def test_large_texts_and_answers_are_copied(api: Api) -> None:
    source = await api.new_session()
    prompt = "word " * 20_000
    said = await api.say(source, prompt, model="fake-9000-0")

    made = (await forked(api, source))["session_id"]
    await api.http.delete(f"/sessions/{source}")

    [copy] = await messages(api, made)
    assert (copy["content"], copy["answer"]) == (prompt, said["answer"])
    assert ok(await api.http.get(f"/sessions/{made}/result"))["result"] == said["answer"]
    told = [event["data"] for event in await api.events(made)]
    assert [data["content"] for data in told if "content" in data] == [prompt]
    await assert_rebuilt(api, made)


async def test_the_fork_of_an_archived_session_is_open_and_may_have_another_name(api: Api) -> None:
    source = await api.new_session(session_name="first")
    async with api.posting(source, model="hang-623") as stream:
        await stream.until("message.start")
        ok(await api.http.patch(f"/sessions/{source}", json={"archived": True, "session_name": "second"}))
        await api.cancel(source)
    await api.quiet(source)

    kept, named = await forked(api, source), await forked(api, source, session_name="third")

    assert [session["session_name"] for session in (kept, named)] == ["second", "third"]
    assert [session["archived"] for session in (kept, named)] == [False, False]
    await assert_rebuilt(api, named["session_id"])


async def test_a_retry_with_the_key_finds_the_fork_that_was_made(api: Api) -> None:
    source, headers = await api.new_session(), {"idempotency-key": new_id()}
    await api.say(source)
    first = await api.http.post(f"/sessions/{source}/fork", json={"session_name": "x"}, headers=headers)
    await api.say(source)

    second = await api.http.post(f"/sessions/{source}/fork", json={"session_name": "x"}, headers=headers)
    other = await api.http.post(f"/sessions/{source}/fork", json={"session_name": "y"}, headers=headers)

    assert {**ok(second, 201), "trace_id": ""} == {**ok(first, 201), "trace_id": ""}
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    refusal(other, 422, "idempotency_key_reused")
    await api.http.delete(f"/sessions/{first.json()['session_id']}")
    gone = await api.http.post(f"/sessions/{source}/fork", json={"session_name": "x"}, headers=headers)
    refusal(gone, 409, "session_deleted")


async def test_many_forks_at_once_with_one_key_are_one_fork(api: Api) -> None:
    source, key = await api.new_session(), new_id()
    await api.say(source)

    sessions = await asyncio.gather(*(forked(api, source, key) for _ in range(5)))

    assert len({session["session_id"] for session in sessions}) == 1
    await assert_rebuilt(api, sessions[0]["session_id"])
    assert len({(await forked(api, source))["session_id"] for _ in range(2)}) == 2


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
async def test_what_does_not_fit_is_refused(api: Api, body: JSON) -> None:
    source = await api.new_session()

    refusal(await api.http.post(f"/sessions/{source}/fork", json=body), 422, "invalid_request")


async def test_a_session_that_is_not_there_has_no_forks(api: Api) -> None:
    source = await api.new_session()
    await api.http.delete(f"/sessions/{source}")

    refusal(await api.http.post(f"/sessions/{source}/fork"), 404, "session_not_found")
    refusal(await api.http.post("/sessions/nowhere/fork"), 404, "session_not_found")
