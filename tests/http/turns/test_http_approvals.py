"""Approvals: a turn that waits for a decision is park, survives a crash, and continues after the decision."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.http.api_client import Api, Host, api_client, new_id, ok, refusal, running_host, types, wait_until
from tests.http.sse_client import JSON, names

pytestmark = pytest.mark.anyio

DRAW = 'call draw_lots {"names": ["Ann"], "count": 1}'
TWO = f"{DRAW} and {DRAW}"


async def park(api: Api, session_id: str, content: str = DRAW) -> list[JSON]:
    """Post a message whose turn parks; return the required actions."""
    response = await api.post(session_id, content, agent="raffle")
    assert ok(response, 202)["status"] == "requires_action"
    return (await api.session(session_id))["required_action"]


async def decide(api: Api, session_id: str, call_id: str, **body: object) -> JSON:
    return ok(await api.http.post(f"/sessions/{session_id}/tool_calls/{call_id}/approval", json=body))


async def wait_for_end(api: Api, session_id: str) -> JSON:
    await api.wait_until_idle(session_id)
    (*_, last) = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    return last


async def completed_calls(api: Api, session_id: str) -> list[JSON]:
    return [event["data"] for event in await api.events(session_id) if event["type"] == "tool_call.complete"]


async def test_a_turn_that_needs_an_approval_shows_what_it_waits_for(api: Api) -> None:
    session_id = await api.new_session()

    (action,) = await park(api, session_id)

    assert (action["kind"], action["name"]) == ("approval", "draw_lots")
    assert action["arguments"] == '{"names": ["Ann"], "count": 1}'
    session = await api.session(session_id)
    assert (session["state"], session["status"]) == ("requires_action", "running")
    (message,) = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert message["status"] == "requires_action"
    assert message["tool_calls"][0]["id"] == action["call_id"]
    required = (await api.events(session_id))[-1]
    assert required["type"] == "tool_call.action_required"
    assert (required["data"]["id"], required["data"]["expires_at"]) == (action["call_id"], action["expires_at"])


async def test_an_approved_call_runs_and_the_turn_continues(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id)

    response = await api.http.post(
        f"/sessions/{session_id}/tool_calls/{action['call_id']}/approval", json={"decision": "approve"}
    )

    receipt = ok(response)
    assert (receipt["call_id"], receipt["decision"], receipt["required_action"]) == (action["call_id"], "approve", [])
    message = await wait_for_end(api, session_id)
    assert (message["status"], message["message_id"]) == ("completed", receipt["message_id"])
    assert "draw_lots returned" in message["answer"]
    (call,) = await completed_calls(api, session_id)
    assert (call["status"], call["response"]) == ("completed", ["Ann"])
    after = int(response.headers["location"].partition("after=")[2])
    assert [event["type"] for event in await api.events(session_id) if event["sequence"] > after][:3] == [
        "tool_call.action",
        "run.handover",
        "tool_call.start",
    ]


async def test_a_denied_call_does_not_run_and_the_model_reads_the_reason(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id)

    await decide(api, session_id, action["call_id"], decision="deny", reason="not today")

    message = await wait_for_end(api, session_id)
    assert message["status"] == "completed"
    assert "not today" in message["answer"]
    (call,) = await completed_calls(api, session_id)
    assert (call["status"], call["response"]) == ("denied", {"error": "The call was denied: not today"})
    assert "tool_call.start" not in types(await api.events(session_id))
    call = ok(await api.http.get(f"/sessions/{session_id}/tool_calls/{action['call_id']}"))
    assert call["status"] == "denied"


async def test_calls_that_need_no_approval_run_before_the_turn_waits(api: Api) -> None:
    session_id = await api.new_session()
    bad = 'call draw_lots {"names": [], "count": "many"}'

    (action,) = await park(api, session_id, f"{bad} and {DRAW}")

    (call,) = await completed_calls(api, session_id)
    assert call["status"] == "failed"  # a call that can't run needs no approval
    await decide(api, session_id, action["call_id"], decision="approve")
    assert (await wait_for_end(api, session_id))["status"] == "completed"


@pytest.mark.parametrize("names", [500, 3_000])
async def test_the_receipt_of_a_decision_has_the_whole_arguments_of_what_is_still_open(api: Api, names: int) -> None:
    session_id = await api.new_session()
    arguments = json.dumps({"names": [f"name {number}" for number in range(names)], "count": 1})
    call = f"call draw_lots {arguments}"
    first, second = await park(api, session_id, f"{call} and {call}")
    path, key = f"/sessions/{session_id}/tool_calls/{second['call_id']}/approval", {"idempotency-key": new_id()}

    receipts = [ok(await api.http.post(path, json={"decision": "approve"}, headers=key)) for _ in range(2)]

    assert first["arguments"] == arguments
    assert [receipt["required_action"] for receipt in receipts] == [[first]] * 2
    (required, _) = [event["data"] for event in await api.events(session_id) if event["type"].endswith("_required")]
    assert required["arguments"] == arguments
    await decide(api, session_id, first["call_id"], decision="deny")
    assert (await wait_for_end(api, session_id))["status"] == "completed"
    whole = ok(await api.http.get(f"/sessions/{session_id}/tool_calls/{first['call_id']}"))
    assert whole["arguments"] == arguments


async def test_a_turn_continues_when_the_last_of_two_calls_is_decided(api: Api) -> None:
    session_id = await api.new_session()
    first, second = await park(api, session_id, TWO)

    receipt = await decide(api, session_id, second["call_id"], decision="deny")

    assert receipt["required_action"] == [first]
    session = await api.session(session_id)
    assert (session["state"], session["required_action"]) == ("requires_action", [first])
    await decide(api, session_id, first["call_id"], decision="approve")
    assert (await wait_for_end(api, session_id))["status"] == "completed"
    assert {call["id"]: call["status"] for call in await completed_calls(api, session_id)} == {
        first["call_id"]: "completed",
        second["call_id"]: "denied",
    }
    assert types(await api.events(session_id)).count("run.handover") == 1


async def test_two_steps_that_wait_park_the_turn_twice_and_nothing_runs_twice(api: Api) -> None:
    session_id = await api.new_session()
    (first,) = await park(api, session_id, f"{DRAW} then {DRAW}")
    await decide(api, session_id, first["call_id"], decision="approve")
    session = await wait_until(lambda: api.session(session_id), lambda seen: _waits_for_another_call(seen, first))

    await decide(api, session_id, session["required_action"][0]["call_id"], decision="approve")

    assert (await wait_for_end(api, session_id))["status"] == "completed"
    events = await api.events(session_id)
    started = [event["data"]["id"] for event in events if event["type"] == "tool_call.start"]
    assert len(started) == len(set(started)) == 2
    assert types(events).count("message.start") == 3


def _waits_for_another_call(session: JSON, before: JSON) -> bool:
    return bool(session["required_action"]) and session["required_action"] != [before]


async def test_a_second_decision_is_refused(api: Api) -> None:
    session_id = await api.new_session()
    first, _ = await park(api, session_id, TWO)
    path = f"/sessions/{session_id}/tool_calls/{first['call_id']}/approval"
    ok(await api.http.post(path, json={"decision": "approve"}))
    before = await api.events(session_id)

    refusal(await api.http.post(path, json={"decision": "deny"}), 409, "already_decided")

    assert await api.events(session_id) == before


async def test_a_decision_on_a_call_of_an_ended_turn_is_refused(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id)
    await decide(api, session_id, action["call_id"], decision="deny")
    await api.wait_until_idle(session_id)

    path = f"/sessions/{session_id}/tool_calls/{action['call_id']}/approval"
    refusal(await api.http.post(path, json={"decision": "approve"}), 409, "already_decided")


async def test_only_one_of_many_simultaneous_decisions_wins(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id)
    path = f"/sessions/{session_id}/tool_calls/{action['call_id']}/approval"

    decisions = ["approve", "deny"] * 5
    responses = await asyncio.gather(*(api.http.post(path, json={"decision": each}) for each in decisions))

    assert sorted(response.status_code for response in responses) == [200] + [409] * 9
    assert (await wait_for_end(api, session_id))["status"] == "completed"
    seen = types(await api.events(session_id))
    assert (seen.count("tool_call.action"), seen.count("run.handover"), seen.count("run.complete")) == (1, 1, 1)


async def test_an_unknown_call_and_a_result_for_an_approval_are_refused(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id)
    before = await api.events(session_id)
    calls_path = f"/sessions/{session_id}/tool_calls"

    unknown = await api.http.post(f"{calls_path}/call_none/approval", json={"decision": "approve"})
    refusal(unknown, 404, "tool_call_not_found")
    wrong = await api.http.post(f"{calls_path}/{action['call_id']}/result", json={"result": 1})
    refusal(wrong, 409, "wrong_action")
    nonsense = await api.http.post(f"{calls_path}/{action['call_id']}/approval", json={"decision": "perhaps"})
    refusal(nonsense, 422, "invalid_request")

    assert await api.events(session_id) == before


async def test_a_repeated_decision_with_its_key_is_the_same_decision(api: Api) -> None:
    session_id = await api.new_session()
    first, second = await park(api, session_id, TWO)
    path, headers = f"/sessions/{session_id}/tool_calls/{first['call_id']}/approval", {"idempotency-key": new_id()}

    one = await api.http.post(path, json={"decision": "approve"}, headers=headers)
    before = await api.events(session_id)
    two = await api.http.post(path, json={"decision": "approve"}, headers=headers)

    assert two.headers["idempotency-replayed"] == "true"
    assert two.headers["location"] == one.headers["location"]
    assert {**ok(one), "trace_id": ""} == {**ok(two), "trace_id": ""}
    assert ok(two)["required_action"] == [second]
    other = await api.http.post(path, json={"decision": "deny"}, headers=headers)
    refusal(other, 422, "idempotency_key_reused")
    assert await api.events(session_id) == before


async def test_a_parked_turn_that_is_cancelled_ends(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id)

    receipt = ok(await api.cancel(session_id, reason="enough"))

    assert (receipt["status"], receipt["message"]["status"]) == ("cancelled", "cancelled")
    (call,) = await completed_calls(api, session_id)
    assert (call["id"], call["status"]) == (action["call_id"], "cancelled")
    session = await api.session(session_id)
    assert (session["state"], session["required_action"]) == ("idle", [])
    path = f"/sessions/{session_id}/tool_calls/{action['call_id']}/approval"
    refusal(await api.http.post(path, json={"decision": "approve"}), 409, "already_decided")
    assert (await api.run_turn(session_id))["status"] == "completed"


async def test_a_message_that_interrupts_a_parked_turn_ends_it_and_is_answered(api: Api) -> None:
    session_id = await api.new_session()
    await park(api, session_id)

    message = await api.run_turn(session_id, "Never mind", on_busy="interrupt")

    assert message["status"] == "completed"
    first, _ = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert first["status"] == "cancelled"


async def test_a_message_steered_into_a_parked_turn_is_read_when_it_resumes(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id)
    steering = ok(await api.post(session_id, "be quick", prefer="respond-async", on_busy="steer"), 202)
    await decide(api, session_id, action["call_id"], decision="approve")
    await api.wait_until_idle(session_id)

    message = await api.message(steering["message_id"])
    assert message["status"] == "completed"
    assert "be quick" in message["answer"]


async def test_a_message_behind_a_parked_turn_waits_for_it(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id)
    waiting = await api.start_turn(session_id, "next")
    assert (await api.message(waiting["message_id"]))["status"] == "queued"
    await decide(api, session_id, action["call_id"], decision="approve")
    await api.wait_until_idle(session_id)

    assert (await api.message(waiting["message_id"]))["status"] == "completed"


async def test_a_session_can_be_deleted_while_its_turn_is_parked(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id)

    assert (await api.http.delete(f"/sessions/{session_id}")).status_code == 204

    path = f"/sessions/{session_id}/tool_calls/{action['call_id']}/approval"
    refusal(await api.http.post(path, json={"decision": "approve"}), 404, "session_not_found")


async def test_a_stream_stays_open_while_the_turn_waits_and_shows_the_rest(api: Api) -> None:
    session_id = await api.new_session()
    async with api.post_stream(session_id, DRAW, agent="raffle") as stream:
        required = await stream.until("tool_call.action_required")
        await decide(api, session_id, required.data["id"], decision="approve")
        frames = await stream.read_to_end()

    assert names(frames)[-2:] == ["run.complete", "done"]
    assert "tool_call.action" in names(frames)


async def test_a_reloaded_page_finds_everything_about_the_required_action(api: Api) -> None:
    session_id = await api.new_session()
    (action,) = await park(api, session_id)

    page = ok(await api.http.get(f"/sessions/{session_id}/events"))["events"]
    (required,) = [event["data"] for event in page if event["type"] == "tool_call.action_required"]
    async with api.stream(session_id, "from=turn") as stream:
        streamed = await stream.until("tool_call.action_required")

    for event in (required, streamed.data):
        assert {**action, "call_id": event["id"]} == {
            "call_id": action["call_id"],
            **{name: event[name] for name in ("kind", "name", "arguments", "expires_at")},
        }


async def test_a_call_without_a_decision_is_denied_when_it_expires(tmp_path: Path) -> None:
    with running_host(tmp_path, {"APPROVAL_TIMEOUT": "1s"}) as host:
        async with api_client(host) as api:
            session_id = await api.new_session()
            await park(api, session_id, TWO)

            message = await wait_for_end(api, session_id)

            assert message["status"] == "completed"
            actions = [event["data"] for event in await api.events(session_id) if event["type"] == "tool_call.action"]
            assert [(each["decision"], each["by"], each["reason"]) for each in actions] == [
                ("deny", "system", "expired")
            ] * 2
            assert [call["status"] for call in await completed_calls(api, session_id)] == ["denied", "denied"]


async def test_a_parked_turn_survives_a_crash_of_the_host(tmp_path: Path) -> None:
    session_id = new_id()
    with running_host(tmp_path) as host:
        async with api_client(host) as api:
            await api.new_session(session_id=session_id)
            (action,) = await park(api, session_id)
            host.kill()
    with running_host(tmp_path) as host:
        await _decide_and_wait_for_end(host, session_id, action)


async def _decide_and_wait_for_end(host: Host, session_id: str, action: JSON) -> None:
    async with api_client(host) as api:
        assert (await api.session(session_id))["required_action"] == [action]
        await decide(api, session_id, action["call_id"], decision="approve")
        assert (await wait_for_end(api, session_id))["status"] == "completed"


async def test_ten_calls_approved_at_once_all_run_and_the_turn_resumes_once(api: Api) -> None:
    session_id = await api.new_session()
    actions = await park(api, session_id, " and ".join([DRAW] * 10))

    receipts = await asyncio.gather(
        *(decide(api, session_id, action["call_id"], decision="approve") for action in actions)
    )

    assert sorted(len(receipt["required_action"]) for receipt in receipts) == list(range(10))
    assert (await wait_for_end(api, session_id))["status"] == "completed"
    assert [call["status"] for call in await completed_calls(api, session_id)] == ["completed"] * 10
    assert types(await api.events(session_id)).count("run.handover") == 1
