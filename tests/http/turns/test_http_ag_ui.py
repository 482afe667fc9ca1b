"""Runs of AG-UI on the wire. `tests/front_ends` reads them with the protocol's own client."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from tests.http.api_client import Api, new_id, ok, refusal
from tests.http.sse_client import JSON
from tests.http.turns.test_http_approvals import DRAW, TWO, park, wait_for_end
from tests.http.turns.test_http_client_tools import ASK, answer

pytestmark = pytest.mark.anyio

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def user(content: Any, message_id: str = "m1") -> JSON:
    return {"id": message_id, "role": "user", "content": content}


def run_input(thread: str, *messages: JSON, run: str | None = None, **more: Any) -> JSON:
    return {"threadId": thread, "runId": run or new_id("run"), "messages": list(messages), **more}


def events_of(response: httpx2.Response) -> list[JSON]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line.startswith("data: ")]


async def post_run(api: Api, body: JSON, agent: str = "assistant") -> httpx2.Response:
    return await api.http.post(f"/ag-ui/{agent}", json=body)


async def run(api: Api, body: JSON, agent: str = "assistant") -> list[JSON]:
    return events_of(await post_run(api, body, agent))


def text_in(events: list[JSON]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT")


async def messages_in(api: Api, thread: str) -> list[JSON]:
    return ok(await api.http.get(f"/sessions/{thread}/messages"))


async def test_a_run_creates_its_session_and_posts_the_newest_message_of_the_user(api: Api) -> None:
    thread = new_id()
    earlier = [user("Before", "m0"), {"id": "a0", "role": "assistant", "content": "An answer"}]

    events = await run(api, run_input(thread, *earlier, user("Hello")))

    assert events[0] | {"metadata": None} == {
        "type": "RUN_STARTED",
        "threadId": thread,
        "runId": events[-1]["runId"],
        "protocolVersion": "1.0",
        "metadata": None,
    }
    assert events[-1]["outcome"] == {"type": "success"}
    (message,) = await messages_in(api, thread)
    assert (message["content"], message["client_id"], message["answer"]) == ("Hello", "m1", text_in(events))
    session = await api.session(thread)
    assert (session["agent_name"], session["thread_id"]) == ("assistant", f"thread_{thread}")


async def test_the_agent_of_the_path_and_the_model_of_the_page_answer(api: Api) -> None:
    thread = new_id()
    await run(api, run_input(thread, user("Hello"), forwardedProps={"model": "fake-3-0", "other": 1}), "raffle")

    (message,) = await messages_in(api, thread)

    assert (message["agent"], message["model"]) == ("raffle", "fake-3-0")


async def test_requests_with_one_run_id_are_one_turn_which_each_gets_from_its_start(api: Api) -> None:
    thread = new_id()
    body = run_input(thread, user("Hello"), forwardedProps={"model": "fake-20-10"})

    answers = await asyncio.gather(*(post_run(api, body) for _ in range(3)))
    again = await post_run(api, body)

    (message,) = await messages_in(api, thread)
    assert [text_in(events_of(each)) for each in [*answers, again]] == [message["answer"]] * 4
    assert again.headers["idempotency-replayed"] == "true"
    assert events_of(again)[1] == {"type": "MESSAGES_SNAPSHOT", "messages": [user("Hello")]}


async def test_a_run_that_is_read_again_takes_back_what_its_client_has_of_it(api: Api) -> None:
    thread = new_id()
    body = run_input(thread, user("Hello"), forwardedProps={"model": "think-5-0"})
    first = await run(api, body)
    written = [
        {"id": event["messageId"], "role": role, "content": event["delta"]}
        for event in first
        for role, kind in (("reasoning", "REASONING_MESSAGE_CONTENT"), ("assistant", "TEXT_MESSAGE_CONTENT"))
        if event["type"] == kind
    ]
    assert {each["role"] for each in written} == {"reasoning", "assistant"}

    _, snapshot, *rest = await run(api, {**body, "messages": [user("Hello"), *written]})

    reasoning = next(each["id"] for each in written if each["role"] == "reasoning")
    assert snapshot["messages"] == [user("Hello"), {"id": reasoning, "role": "reasoning", "content": ""}]
    assert rest == first[1:]


@pytest.mark.parametrize(
    "change",
    [{"messages": [user("Something else")]}, {"forwardedProps": {"model": "fake-9-0"}}],
    ids=["message", "model"],
)
async def test_a_run_id_is_not_used_again_for_something_else(api: Api, change: JSON) -> None:
    body = run_input(new_id(), user("Hello"))
    await run(api, body)

    refusal(await post_run(api, {**body, **change}), 422, "idempotency_key_reused")

    assert len(await messages_in(api, body["threadId"])) == 1


@pytest.mark.parametrize(
    ("agent", "change", "status", "code"),
    [
        ("nobody", {}, 422, "agent_not_found"),
        ("assistant", {"messages": []}, 422, "invalid_request"),
        ("assistant", {"messages": [{"id": "s", "role": "system", "content": "x"}]}, 422, "invalid_request"),
        ("assistant", {"messages": [user("  ")]}, 422, "invalid_request"),
        ("assistant", {"messages": [user([{"type": "video", "source": {}}])]}, 422, "invalid_request"),
        ("assistant", {"messages": [{"id": "m1", "role": "friend", "content": "x"}]}, 422, "invalid_request"),
        ("assistant", {"runId": " "}, 422, "invalid_request"),
        ("assistant", {"resume": [{"interruptId": "c", "status": "cancelled"}]}, 404, "session_not_found"),
        ("assistant", {"resume": [{"interruptId": "c", "status": "resolved"}]}, 422, "invalid_request"),
        ("assistant", {"forwardedProps": {"on_busy": "shout"}}, 422, "invalid_request"),
    ],
)
async def test_a_run_that_is_refused_creates_no_session(
    api: Api, agent: str, change: JSON, status: int, code: str
) -> None:
    body = {**run_input(new_id(), user("Hello")), **change}

    refusal(await post_run(api, body, agent), status, code)

    refusal(await api.http.get(f"/sessions/{body['threadId']}"), 404, "session_not_found")


async def test_a_blank_message_is_refused_with_a_pointer_to_it(api: Api) -> None:
    body = run_input(new_id(), user("Hello", "m0"), user(""))

    problem = refusal(await post_run(api, body), 422, "invalid_request")

    assert problem["errors"] == [{"pointer": "/messages/1/content", "detail": "the message is empty"}]


async def test_the_id_of_a_deleted_or_archived_session_is_refused(api: Api) -> None:
    deleted, archived = await api.new_session(), await api.new_session()
    ok(await api.http.patch(f"/sessions/{archived}", json={"archived": True}))
    await api.http.delete(f"/sessions/{deleted}")

    refusal(await post_run(api, run_input(deleted, user("Hello"))), 409, "session_deleted")
    refusal(await post_run(api, run_input(archived, user("Hello"))), 409, "session_archived")


async def test_parts_are_posted_in_the_form_of_the_api_and_come_back_in_that_of_the_protocol(api: Api) -> None:
    thread = new_id()
    text = "data:text/plain;base64,SGk="
    content = [
        {"type": "text", "text": "Look"},
        {"type": "image", "source": {"type": "data", "value": _PIXEL, "mimeType": "image/png"}},
        {"type": "image", "source": {"type": "url", "value": "https://example.com/a.png"}},
        {"type": "document", "source": {"type": "data", "value": "SGk=", "mimeType": "text/plain"}},
        {"type": "document", "source": {"type": "file", "value": "file-1"}},
    ]

    await run(api, run_input(thread, user(content)))

    (message,) = await messages_in(api, thread)
    assert message["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PIXEL}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"file_data": text}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
    _, snapshot, _ = events_of(await api.http.get(f"/sessions/{thread}/stream?format=ag-ui"))
    assert snapshot["messages"][0]["content"] == content


async def test_interrupts_are_answered_together_or_not_at_all(api: Api) -> None:
    thread = new_id()
    events = await run(api, run_input(thread, user(TWO)), "raffle")
    first, second = (each["id"] for each in events[-1]["outcome"]["interrupts"])
    approved = {"interruptId": first, "status": "resolved", "payload": {"approved": True}}

    wrong = run_input(thread, user(TWO), resume=[approved, {"interruptId": "call_none", "status": "cancelled"}])
    refusal(await post_run(api, wrong, "raffle"), 404, "tool_call_not_found")
    actions = (await api.session(thread))["required_action"]
    assert [each["call_id"] for each in actions] == [first, second]

    denied = {"interruptId": second, "status": "resolved", "payload": {"approved": False, "reason": "too many"}}
    rest = await run(api, run_input(thread, user(TWO), resume=[approved, denied]), "raffle")
    results = {event["toolCallId"]: event for event in rest if event["type"] == "TOOL_CALL_RESULT"}
    assert json.loads(results[first]["content"]) == ["Ann"]
    assert "too many" in results[second]["content"]
    assert rest[-1]["outcome"] == {"type": "success"}


async def test_a_run_that_answers_is_read_again_from_the_start_of_its_turn(api: Api) -> None:
    thread = new_id()
    events = await run(api, run_input(thread, user(DRAW)), "raffle")
    (interrupt,) = events[-1]["outcome"]["interrupts"]
    answer = {"interruptId": interrupt["id"], "status": "resolved", "payload": {"approved": True}}
    body = run_input(thread, user(DRAW), resume=[answer])
    await run(api, body, "raffle")

    again = await run(api, body, "raffle")

    kinds = [event["type"] for event in again]
    assert kinds[:3] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "STEP_STARTED"]
    assert kinds.count("TOOL_CALL_START") == kinds.count("TOOL_CALL_RESULT") == 1
    (message,) = await messages_in(api, thread)
    assert message["answer"].endswith(text_in(again))
    other = {**body, "runId": new_id("run")}
    refusal(await post_run(api, other, "raffle"), 409, "already_decided")


async def test_a_result_that_no_turn_waits_for_posts_nothing(api: Api) -> None:
    thread = new_id()
    events = await run(api, run_input(thread, user(ASK)), "raffle")
    (call_id,) = events[-1]["outcome"]["pendingToolCallIds"]
    result = {"id": "t1", "role": "tool", "toolCallId": call_id, "content": "Ann", "error": "nobody is there"}

    rest = await run(api, run_input(thread, user(ASK), result), "raffle")
    refusal(await post_run(api, run_input(thread, user(ASK), result), "raffle"), 409, "not_waiting")

    assert "nobody is there" in text_in(rest)
    assert not [event for event in rest if event["type"] == "TOOL_CALL_RESULT"]  # the client has its own message
    assert len(await messages_in(api, thread)) == 1


async def test_a_run_ends_with_an_error_when_its_session_is_deleted(api: Api) -> None:
    thread = new_id()
    body = run_input(thread, user("Hello"), forwardedProps={"model": "fake-3000-20"})
    lines: list[str] = []
    async with api.http.stream("POST", "/ag-ui/assistant", json=body) as response:
        async for line in response.aiter_lines():
            lines.append(line)
            if "TEXT_MESSAGE_CONTENT" in line and not any("delete" in each for each in lines):
                await api.http.delete(f"/sessions/{thread}")
                lines.append("delete")

    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "session_deleted")


async def test_a_withdrawn_message_ends_its_run(api: Api) -> None:
    thread = await api.new_session()
    await api.start_turn(thread, model="fake-3000-20")
    body = run_input(thread, user("Next"))

    running = asyncio.create_task(run(api, body))
    queue: list[JSON] = []
    while not queue:
        queue = ok(await api.http.get(f"/sessions/{thread}/queue"))
    await api.http.delete(f"/sessions/{thread}/queue/{queue[0]['message_id']}")

    assert (await running)[-1]["outcome"] == {"type": "cancelled"}
    await api.cancel(thread)


async def test_a_posted_message_is_a_run_after_the_conversation_before_it(api: Api) -> None:
    session_id = await api.new_session()
    first = await api.run_turn(session_id, 'call calculate {"expression": "6*7"}')

    response = await api.http.post(
        f"/sessions/{session_id}/messages?format=ag-ui", json={"content": "Next", "client_id": "mine"}
    )

    started, snapshot, *events = events_of(response)
    second = (await messages_in(api, session_id))[1]
    assert (started["threadId"], started["runId"]) == (session_id, second["message_id"])
    roles = [message["role"] for message in snapshot["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    asked, called, returned, answered, new = snapshot["messages"]
    assert asked["content"] == first["content"]
    assert called["toolCalls"][0]["id"] == returned["toolCallId"] == first["tool_calls"][0]["id"]
    assert (answered["content"], new) == (first["answer"], user("Next", "mine"))
    assert text_in(events) == second["answer"]


async def test_a_page_that_connects_gets_the_conversation_and_the_active_turn(api: Api) -> None:
    session_id = await api.new_session()
    path = f"/sessions/{session_id}/stream?format=ag-ui"
    empty = events_of(await api.http.get(path))
    await run(api, run_input(session_id, user(DRAW)), "raffle")

    waiting = events_of(await api.http.get(path))

    assert [event["type"] for event in empty] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    assert empty[1]["messages"] == []
    assert waiting[1]["messages"] == [user(DRAW)]
    assert waiting[-1]["outcome"]["type"] == "interrupt"


async def test_a_large_result_of_a_tool_is_a_link_in_a_snapshot(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id, ASK)
    await answer(api, session_id, action["call_id"], result="x" * 70_000)
    await wait_for_end(api, session_id)

    connected = events_of(await api.http.get(f"/sessions/{session_id}/stream?format=ag-ui"))

    (snapshot,) = [event["messages"] for event in connected if event["type"] == "MESSAGES_SNAPSHOT"]
    (result,) = [each for each in snapshot if each["role"] == "tool"]
    call = ok(await api.http.get(json.loads(result["content"])["href"]))
    assert (call["id"], call["response"]) == (action["call_id"], "x" * 70_000)
