"""Messages: the three ways to wait for an answer, valid and invalid content, lists, full responses."""

import re

import pytest

from tests.http.api_client import Api, is_gapless, new_id, next_link, ok, refusal, types, wait_until
from tests.http.sse_client import ids, names, text_of

pytestmark = pytest.mark.anyio

FIELDS = {
    "message_id", "session_id", "turn_id", "trace_id", "sequence", "role", "content", "answer", "status", "error",
    "agent", "model", "usage", "finish_reason", "tool_calls", "patch", "created_at", "completed_at",
}  # fmt: skip
TURN = [
    "user_message",
    "run.start",
    "message.start",
    "message.delta",
    "message.complete",
    "token_usage",
    "run.complete",
]


async def test_a_post_waits_for_the_finished_message(api: Api) -> None:
    session_id = await api.new_session()

    response = await api.post(session_id, "What is up?")

    message = ok(response, 200)
    assert message.keys() >= FIELDS
    assert (message["status"], message["error"], message["finish_reason"]) == ("completed", None, "stop")
    assert (message["role"], message["content"], message["session_id"]) == ("user", "What is up?", session_id)
    assert (message["agent"], message["model"], message["tool_calls"]) == ("assistant", "fake-20-0", [])
    assert len(message["answer"].split()) == 20
    assert message["usage"]["completion_tokens"] == 20
    assert message["completed_at"] >= message["created_at"]
    assert message == await api.message(message["message_id"])
    assert "location" not in response.headers


async def test_a_wait_ends_when_its_time_is_over(api: Api) -> None:
    session_id = await api.new_session()

    response = await api.post(session_id, model="hang-200", prefer="wait=1")

    assert ok(response, 202)["status"] == "running"
    assert response.headers["preference-applied"] == "wait=1"
    assert response.headers["location"].startswith(f"/sessions/{session_id}/stream?after=")
    assert ok(await api.cancel(session_id))["status"] == "cancelled"


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=30", "wait=30"),
        ("WAIT = 30", "wait=30"),
        ("respond-async, wait=30", "respond-async, wait=30"),
        ("wait=999", "wait=200"),
    ],
)
async def test_a_wait_that_is_long_enough_returns_the_answer(api: Api, prefer: str, applied: str) -> None:
    response = await api.post(await api.new_session(), prefer=prefer)

    assert ok(response)["status"] == "completed"
    assert response.headers["preference-applied"] == applied


async def test_respond_async_answers_at_once_with_the_location_of_the_stream(api: Api) -> None:
    session_id = await api.new_session()

    response = await api.post(session_id, model="hang-201", prefer="respond-async")

    message = ok(response, 202)
    assert (message["status"], message["answer"], message["completed_at"]) == ("running", None, None)
    assert response.headers["preference-applied"] == "respond-async"
    assert response.headers["location"] == f"/sessions/{session_id}/stream?after=1"
    await api.cancel(session_id)
    lines = (await api.http.get(response.headers["location"])).text.splitlines()
    assert next(line for line in lines if line.startswith("event: ")) == "event: user_message"
    assert "event: done" in lines


async def test_a_posted_stream_runs_from_the_message_to_the_end_of_its_turn(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)
    head = (await api.session(session_id))["head"]

    async with api.post_stream(session_id) as stream:
        frames = await stream.read_to_end()

    assert stream.response.status_code == 200
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert list(dict.fromkeys(names(frames))) == [*TURN, "done"]
    assert ids(frames) == list(range(head + 1, head + len(frames)))
    assert text_of(frames) == frames[-4].data["text"]
    assert (frames[-1].id, frames[-1].data) == (
        frames[-2].id,
        {
            "session_id": session_id,
            "head": frames[-2].id,
            "incarnation": frames[-1].incarnation,
            "reason": "finished",
        },
    )


async def test_a_posted_stream_is_resumed_at_the_sessions_stream_by_the_same_ids(api: Api) -> None:
    session_id = await api.new_session()
    async with api.post_stream(session_id, model="fake-30-2") as stream:
        await stream.until("message.delta", 2)
        seen = list(stream.seen)

    rest = await api.read(session_id, last_event_id=str(seen[-1].id))

    assert ids(seen) + ids(rest) == list(range(2, 2 + len(ids(seen) + ids(rest))))
    assert text_of([*seen, *rest]) == (await api.session(session_id))["diagnosis"]


async def test_a_client_that_disconnects_changes_nothing(api: Api) -> None:
    session_id = await api.new_session()
    async with api.post_stream(session_id, model="fake-40-3") as stream:
        await stream.until("message.delta")

    session = await api.wait_until_idle(session_id)

    assert session["run_meta"]["status"] == "completed"
    assert (await api.model_stats("fake-40-3"))["finished"] == 1


@pytest.mark.parametrize("name", ["content", "prompt", "text"])
@pytest.mark.parametrize("content", ["one two", [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]])
async def test_content_has_three_names_and_two_forms(api: Api, name: str, content: object) -> None:
    session_id = await api.new_session()

    message = ok(await api.http.post(f"/sessions/{session_id}/messages", json={name: content}))

    assert message["content"] == content
    (posted,) = [event for event in await api.events(session_id) if event["type"] == "user_message"]
    assert (posted["data"]["content"], posted["data"]["text"]) == (content, "one two")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/content"),
        ({"content": ""}, "/content"),
        ({"content": " \n"}, "/content"),
        ({"content": []}, "/content"),
        ({"content": None}, "/content"),
        ({"content": 5}, "/content"),
        ({"content": {"text": "x"}}, "/content"),
        ({"content": [{"type": "image", "text": "x"}]}, "/content/0"),
        ({"content": [{"type": "text"}]}, "/content/0/text"),
        ({"content": "a", "prompt": "a"}, ""),
        ({"prompt": "a", "text": "a"}, ""),
        ({"content": "a", "agent": 1}, "/agent"),
        ({"content": "a", "on_busy": "later"}, "/on_busy"),
        ({"content": "a", "metadata": []}, "/metadata"),
        ({"content": "a", "client_id": ""}, "/client_id"),
        ({"content": "a", "client_id": "x" * 129}, "/client_id"),
        ({"content": "a", "metadata": {"x": "x" * 17_000}}, "/metadata"),
        ({"content": "a", "modle": "x"}, "/modle"),
        ({"content": "a", "a/b~c": "x"}, "/a~1b~0c"),
        ({"content": "x" * (256 * 1024 + 1)}, "/content"),
        ({"content": "é" * (128 * 1024 + 1)}, "/content"),
    ],
)
async def test_an_invalid_message_is_refused_and_nothing_is_written(
    api: Api, body: dict[str, object], pointer: str
) -> None:
    session_id = await api.new_session()

    refused = refusal(await api.http.post(f"/sessions/{session_id}/messages", json=body), 422, "invalid_request")

    assert pointer in [error["pointer"] for error in refused["errors"]]
    assert (await api.session(session_id))["head"] == 1


async def test_an_unknown_agent_is_refused_and_nothing_is_written(api: Api) -> None:
    session_id = await api.new_session(agent_name="nobody")

    refusal(await api.post(session_id), 422, "agent_not_found")
    refusal(await api.post(session_id, agent="noone"), 422, "agent_not_found")

    assert (await api.session(session_id))["head"] == 1
    assert (await api.run_turn(session_id, agent="assistant"))["agent"] == "assistant"


async def test_the_model_gets_the_whole_conversation(api: Api) -> None:
    session_id = await api.new_session()

    answers = [(await api.run_turn(session_id, text, model="fake-30-0"))["answer"] for text in ("one", "two", "three")]

    counts = [re.search(r"given (\d+) message", answer) for answer in answers]
    assert [found and found[1] for found in counts] == ["1", "3", "5"]
    assert "“three”" in answers[2]


async def test_messages_are_listed_oldest_first(api: Api) -> None:
    session_id = await api.new_session()
    posted = [await api.run_turn(session_id, text) for text in ("one", "two", "three")]

    response = await api.http.get(f"/sessions/{session_id}/messages")

    assert ok(response) == posted
    assert "link" not in response.headers
    assert [message["sequence"] for message in posted] == sorted(message["sequence"] for message in posted)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_message_pages_link_to_the_next_in_either_order(api: Api, order: str) -> None:
    session_id = await api.new_session()
    posted = [(await api.run_turn(session_id, text, model="fake-1-0"))["content"] for text in "abcde"]

    listed: list[str] = []
    url: str | None = f"/sessions/{session_id}/messages?limit=2&order={order}"
    for _ in range(4):
        response = await api.http.get(url)
        listed += [message["content"] for message in ok(response)]
        url = next_link(response)
        if url is None:
            break

    assert listed == (posted if order == "asc" else posted[::-1])


async def test_messages_can_be_listed_after_one_of_them(api: Api) -> None:
    session_id = await api.new_session()
    first, second, third = [await api.run_turn(session_id, text, model="fake-1-0") for text in "abc"]

    path = f"/sessions/{session_id}/messages"
    assert ok(await api.http.get(f"{path}?after={first['message_id']}")) == [second, third]
    assert ok(await api.http.get(f"{path}?after={third['message_id']}")) == []
    assert ok(await api.http.get(f"{path}?after={third['message_id']}&order=desc")) == [second, first]
    refusal(await api.http.get(f"{path}?after=msg_nonsense"), 404, "message_not_found")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=-1", "order=newest"])
async def test_an_invalid_message_list_query_is_refused(api: Api, query: str) -> None:
    session_id = await api.new_session()

    refusal(await api.http.get(f"/sessions/{session_id}/messages?{query}"), 422, "invalid_request")


async def test_a_missing_message_is_not_found(api: Api) -> None:
    session_id = await api.new_session()

    for message_id in (f"msg_{'0' * 26}_{session_id}", f"msg_{'0' * 26}_{new_id()}", "msg_1", "x"):
        refusal(await api.http.get(f"/messages/{message_id}"), 404, "message_not_found")
        refusal(await api.http.get(f"/messages/{message_id}/full"), 404, "message_not_found")


async def test_the_full_response_is_what_the_model_server_sent(api: Api) -> None:
    message = await api.run_turn(await api.new_session())

    full = ok(await api.http.get(f"/messages/{message['message_id']}/full"))

    assert full["message_id"] == message["message_id"]
    assert (full["status"], full["model"], full["usage"]) == ("completed", "fake-20-0", message["usage"])
    assert full["trace_id"] == message["trace_id"]
    assert full["tool_calls"] == []
    assert full["responses"] == [full["response"]]
    response = full["response"]
    assert (response["object"], response["model"]) == ("chat.completion", "fake-20-0")
    assert response["id"].startswith("chatcmpl-")
    assert response["system_fingerprint"] == "fp_scripted"
    assert response["usage"] == message["usage"]
    assert response["choices"][0]["message"] == {"role": "assistant", "content": message["answer"]}
    assert response["choices"][0]["finish_reason"] == "stop"


async def test_before_the_first_model_call_ends_there_is_no_response(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.start_turn(session_id, model="hang-202")

    full = ok(await api.http.get(f"/messages/{message['message_id']}/full"))

    assert (full["response"], full["responses"], full["tool_calls"], full["status"]) == (None, [], [], "running")
    await api.cancel(session_id)


async def test_the_usage_of_a_session_is_the_sum_of_its_messages(api: Api) -> None:
    session_id = await api.new_session()
    posted = [await api.run_turn(session_id, text) for text in ("one", "two")]

    usage = (await api.session(session_id))["usage"]

    assert usage == {name: sum(message["usage"][name] for message in posted) for name in usage}


async def test_a_message_of_a_model_without_usage_has_zero_usage(api: Api) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(session_id, model="nousage-5")

    assert (message["status"], message["usage"]["total_tokens"]) == ("completed", 0)
    assert "token_usage" not in types(await api.events(session_id))


@pytest.mark.parametrize(("model", "reason"), [("length-7", "length"), ("filter-7", "content_filter")])
async def test_a_message_says_why_the_model_stopped(api: Api, model: str, reason: str) -> None:
    message = await api.run_turn(await api.new_session(), model=model)

    assert (message["status"], message["finish_reason"]) == ("completed", reason)


async def test_content_of_256_kb_is_stored_and_returned_whole(api: Api) -> None:
    session_id = await api.new_session()
    content = "wörter " * (256 * 1024 // 8)

    message = await api.run_turn(session_id, content)

    assert message["content"] == content
    assert (await api.message(message["message_id"]))["content"] == content
    (event,) = [event for event in await api.events(session_id) if event["type"] == "user_message"]
    assert (event["data"]["content"], event["data"]["text"]) == (content, content)
    (frame,) = [frame for frame in await api.read(session_id) if frame.event == "user_message"]
    assert frame.data["content"] == content
    assert "overflow" not in event["data"]


async def test_an_answer_too_large_for_an_event_is_returned_whole(api: Api) -> None:
    session_id = await api.new_session()

    async with api.post_stream(session_id, model="fake-9000-0") as stream:
        frames = await stream.read_to_end()

    session = await api.session(session_id)
    (complete,) = [frame for frame in frames if frame.event == "message.complete"]
    (message,) = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    answer = message["answer"]
    assert len(answer) > 32 * 1024
    assert len(answer.split()) == 9000
    assert answer == text_of(frames) == complete.data["text"] == session["diagnosis"]
    assert answer == ok(await api.http.get(f"/sessions/{session_id}/result"))["result"]
    assert text_of(await api.read(session_id)) == answer
    assert "overflow" not in complete.data
    full = ok(await api.http.get(f"/messages/{message['message_id']}/full"))
    assert full["response"]["choices"][0]["message"]["content"] == answer


async def test_text_of_any_script_is_returned_unchanged(api: Api) -> None:
    session_id = await api.new_session()
    text = "naïve 日本語 👩‍👩‍👧 \u2028\u2029 \u0000 \r\n data: x\n\nid: 7 \ufeff"

    message = await api.run_turn(session_id, text)

    assert message["content"] == text
    (frame,) = [frame for frame in await api.read(session_id) if frame.event == "user_message"]
    assert frame.data["content"] == text


async def test_metadata_stays_with_its_message(api: Api) -> None:
    metadata = {"client": "cli", "nested": {"a": [1, 2]}}

    message = await api.run_turn(await api.new_session(), metadata=metadata)

    assert (await api.message(message["message_id"]))["metadata"] == metadata


async def test_a_sender_recognises_its_own_message_by_its_id(api: Api) -> None:
    session_id = await api.new_session()
    running = await api.start_turn(session_id, "first", model="hang-450", client_id="mine-1")
    queued = await api.start_turn(session_id, "second", client_id="mine-2")

    await api.cancel(session_id)
    await api.wait_until_idle(session_id)

    listed = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert (running["client_id"], queued["client_id"]) == ("mine-1", "mine-2")
    assert [message["client_id"] for message in listed] == ["mine-1", "mine-2"]
    seen = {(each["type"], each["data"].get("client_id")) for each in await api.events(session_id)}
    assert seen >= {("user_message", "mine-1"), ("message.queued", "mine-2"), ("user_message", "mine-2")}


async def test_a_message_without_an_id_of_its_sender_has_none(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.run_turn(session_id)

    (entry,) = [each for each in await api.events(session_id) if each["type"] == "user_message"]
    assert (message["client_id"], entry["data"]["client_id"]) == (None, None)


async def test_the_log_of_a_turn_is_gapless_and_ends_with_its_one_terminal_event(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.run_turn(session_id)

    events = await api.events(session_id)

    assert is_gapless(events)
    assert list(dict.fromkeys(types(events))) == ["session.created", *TURN]
    assert types(events).count("run.complete") == 1
    for event in events[1:]:
        assert (event["turn_id"], event["message_id"]) == (message["turn_id"], message["message_id"])
        assert event["data"].items() >= {name: event[name] for name in ("session_id", "turn_id", "message_id")}.items()
    assert events[-1]["data"].keys() >= {"status", "steps", "usage", "duration_ms", "model"}
    assert events[-2]["data"]["iteration"] == 1


async def test_a_message_shows_its_answer_after_the_end_of_the_turn(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.start_turn(session_id, model="fake-20-1")

    ended = await wait_until(lambda: api.message(message["message_id"]), lambda seen: seen["status"] != "running")

    assert (ended["status"], len(ended["answer"].split())) == ("completed", 20)
