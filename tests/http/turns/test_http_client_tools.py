"""Tools that the client runs, and the list of agents."""

import pytest

from tests.http.api_client import Api, ok, refusal, types
from tests.http.sse_client import JSON
from tests.http.turns.test_http_approvals import DRAW, completed_calls, decide, park, wait_for_end

pytestmark = pytest.mark.anyio

ASK = 'call ask_user {"question": "Who takes part?"}'


async def answer(api: Api, session_id: str, call_id: str, **body: object) -> JSON:
    return ok(await api.http.post(f"/sessions/{session_id}/tool_calls/{call_id}/result", json=body))


async def test_a_client_tool_gets_its_result_from_the_client(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id, ASK)
    assert (action["kind"], action["arguments"]) == ("client_tool", '{"question": "Who takes part?"}')

    receipt = await answer(api, session_id, action["call_id"], result={"names": ["Ann", "Ben"]})

    assert (receipt["decision"], receipt["required_action"]) == ("result", [])
    message = await wait_for_end(api, session_id)
    assert message["status"] == "completed"
    assert "ask_user returned" in message["answer"]
    assert "Ben" in message["answer"]
    (call,) = await completed_calls(api, session_id)
    assert (call["status"], call["response"]) == ("completed", {"names": ["Ann", "Ben"]})
    assert "tool_call.start" not in types(await api.events(session_id))


@pytest.mark.parametrize("result", [None, "", 0, [], {"deep": [1, {"more": None}]}, "text"])
async def test_a_result_may_be_any_json(api: Api, result: object) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id, ASK)

    await answer(api, session_id, action["call_id"], result=result)

    call = ok(await api.http.get(f"/sessions/{session_id}/tool_calls/{action['call_id']}"))
    assert (call["status"], call["response"]) == ("completed", result)


async def test_a_large_result_is_linked_and_cut_at_the_limit(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id, ASK)

    await answer(api, session_id, action["call_id"], result="x" * 600 * 1024)

    (event,) = await completed_calls(api, session_id)
    call = ok(await api.http.get(event["response"]["href"]))
    assert (len(call["response"]), call["truncated"]) == (512 * 1024, True)
    message = await wait_for_end(api, session_id)
    assert message["status"] == "completed"
    assert message["tool_calls"][0].items() <= event.items()


async def test_the_model_reads_an_error_of_the_client(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id, ASK)

    await answer(api, session_id, action["call_id"], error="nobody is here")

    assert "nobody is here" in (await wait_for_end(api, session_id))["answer"]
    (call,) = await completed_calls(api, session_id)
    assert (call["status"], call["response"]) == ("failed", {"error": "nobody is here"})


async def test_a_client_tool_call_can_be_denied_but_not_approved(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id, ASK)
    path = f"/sessions/{session_id}/tool_calls/{action['call_id']}/approval"

    refusal(await api.http.post(path, json={"decision": "approve"}), 409, "wrong_action")
    await decide(api, session_id, action["call_id"], decision="deny")

    (call,) = await completed_calls(api, session_id)
    assert call["status"] == "denied"


async def test_a_turn_waits_for_an_approval_and_a_result_together(api: Api) -> None:
    session_id = await api.new_session()
    draw, ask = await park(api, session_id, f"{DRAW} and {ASK}")

    assert (await answer(api, session_id, ask["call_id"], result="Ann"))["required_action"] == [draw]
    await decide(api, session_id, draw["call_id"], decision="approve")

    assert (await wait_for_end(api, session_id))["status"] == "completed"


@pytest.mark.parametrize("body", [{}, {"result": 1, "error": "x"}, {"error": None}, {"results": 1}])
async def test_a_body_that_is_neither_result_nor_error_is_refused(api: Api, body: JSON) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id, ASK)

    response = await api.http.post(f"/sessions/{session_id}/tool_calls/{action['call_id']}/result", json=body)

    refusal(response, 422, "invalid_request")
    assert (await api.session(session_id))["required_action"] == [action]


async def test_the_agents_are_listed_with_their_tools(api: Api) -> None:
    listed = ok(await api.http.get("/agents"))

    agents = {agent["name"]: agent for agent in listed["agents"]}
    assert listed["default"] == "assistant"
    assert (agents["raffle"]["model"], agents["raffle"]["max_steps"]) == ("fake-20-0", 10)
    tools = {tool["name"]: tool for tool in agents["raffle"]["tools"]}
    draw, ask = tools["draw_lots"], tools["ask_user"]
    assert (draw["requires_approval"], draw["idempotent"], draw["client"]) == (True, False, False)
    assert (ask["requires_approval"], ask["client"]) == (False, True)
    assert ask["parameters"]["required"] == ["question"]
    assert "count" in draw["parameters"]["properties"]
