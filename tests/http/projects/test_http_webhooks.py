"""Webhooks: set up on a project, signed, delivered at least once, and never to a private address."""

import asyncio
import base64
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.http.api_client import JSON, Api, api_client, ok, refusal, running_host, wait_until
from tests.http.projects.receiver import Received, Receiver, running_receiver

pytestmark = pytest.mark.anyio

DRAW = 'call draw_lots {"names": ["Ann"], "count": 1}'
SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
ALL = ["run.complete", "requires_action", "session_deleted"]


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


async def _new_project(api: Api, *webhooks: JSON) -> JSON:
    return ok(await api.http.post("/projects", json={"name": "Hooks", "webhooks": list(webhooks)}), 201)


async def _session_for(api: Api, receiver: Receiver, **webhook: Any) -> tuple[JSON, str]:
    """A project with one webhook to the receiver, and a session in it."""
    project = await _new_project(api, {"url": receiver.url, "secret": SECRET, **webhook})
    return project, await api.new_session(project_id=project["id"], agent_name="assistant")


def _verified(received: Received, secret: str = SECRET) -> Any:
    return Webhook(secret).verify(received.body, received.headers)


async def test_the_end_of_a_turn_is_delivered_and_its_signature_is_valid(api: Api, receiver: Receiver) -> None:
    project, session_id = await _session_for(api, receiver)

    message = await api.run_turn(session_id, client_id="mine")

    (received,) = await receiver.wait_for(1)
    sent = _verified(received)
    assert (sent["type"], sent["timestamp"]) == ("run.complete", message["completed_at"])
    expected = {name: message[name] for name in ("session_id", "turn_id", "message_id", "status", "model", "usage")}
    assert sent["data"] | expected == sent["data"]
    assert (sent["data"]["project_id"], sent["data"]["client_id"]) == (project["id"], "mine")
    assert "answer" not in sent["data"]
    assert "content" not in sent["data"]


async def test_another_secret_does_not_verify(api: Api, receiver: Receiver) -> None:
    _, session_id = await _session_for(api, receiver)
    await api.run_turn(session_id)

    (received,) = await receiver.wait_for(1)

    with pytest.raises(Exception, match="signature"):
        _verified(received, f"whsec_{base64.b64encode(b'x' * 32).decode()}")


async def test_a_failed_turn_and_a_turn_with_tools_are_delivered(api: Api, receiver: Receiver) -> None:
    _, session_id = await _session_for(api, receiver)

    await api.run_turn(session_id, model="fail-403")
    await api.run_turn(session_id, 'call calculate {"expression": "6*7"}')

    received = await receiver.wait_for(2)
    ends = {each.json["data"]["status"]: each.json["data"] for each in received}
    assert ends.keys() == {"failed", "completed"}
    assert ends["failed"]["error"]["code"]


async def test_a_turn_that_waits_for_an_action_says_so_and_then_its_end(api: Api, receiver: Receiver) -> None:
    _, session_id = await _session_for(api, receiver)
    message = await api.start_turn(session_id, DRAW, agent="raffle")

    (asked,) = await receiver.wait_for(1)
    (action,) = _verified(asked)["data"]["required_action"]
    assert (asked.json["type"], action["name"], action["kind"]) == ("requires_action", "draw_lots", "approval")
    approval = f"/sessions/{session_id}/tool_calls/{action['call_id']}/approval"
    await api.http.post(approval, json={"decision": "approve"})

    _, ended = await receiver.wait_for(2)
    assert (_verified(ended)["type"], ended.json["data"]["message_id"]) == ("run.complete", message["message_id"])


async def test_a_deleted_session_is_delivered(api: Api, receiver: Receiver) -> None:
    project, session_id = await _session_for(api, receiver, events=["session_deleted"])
    await api.run_turn(session_id)

    assert (await api.http.delete(f"/sessions/{session_id}")).status_code == 204

    (received,) = await receiver.wait_for(1)
    sent = _verified(received)
    assert (sent["type"], sent["data"]) == ("session_deleted", {"session_id": session_id, "project_id": project["id"]})


async def test_a_delivery_is_tried_again_with_the_same_id_until_it_is_taken(api: Api, receiver: Receiver) -> None:
    receiver.answers = ["500 Internal Server Error", "404 Not Found", "204 No Content"]
    _, session_id = await _session_for(api, receiver)
    await api.run_turn(session_id)

    received = await receiver.wait_for(3)

    assert len({each.headers["webhook-id"] for each in received}) == 1
    assert len({each.body for each in received}) == 1
    for each in received:
        _verified(each)


async def test_a_receiver_that_hangs_delays_no_turn_and_no_other_receiver(api: Api, receiver: Receiver) -> None:
    async with running_receiver("hang") as hanging:
        project = await _new_project(api, *({"url": each.url, "secret": SECRET} for each in (hanging, receiver)))
        session_id = await api.new_session(project_id=project["id"], agent_name="assistant")

        messages = [await api.run_turn(session_id) for _ in range(3)]

        assert {message["status"] for message in messages} == {"completed"}
        await receiver.wait_for(3)
        assert len(hanging.received) <= 3


async def test_a_redirect_is_not_followed(api: Api, receiver: Receiver) -> None:
    async with running_receiver() as private:
        receiver.answers = [f"307 Temporary Redirect\r\nlocation: {private.url}", "200 OK"]
        _, session_id = await _session_for(api, receiver)
        await api.run_turn(session_id)

        await receiver.wait_for(2)

        assert private.received == []


async def test_only_the_chosen_events_of_the_own_project_are_delivered(api: Api, receiver: Receiver) -> None:
    _, session_id = await _session_for(api, receiver, events=["run.complete"])
    elsewhere = await api.new_session(project_id=(await _new_project(api))["id"], agent_name="assistant")
    await api.run_turn(elsewhere)
    await api.start_turn(session_id, DRAW, agent="raffle")
    await api.wait_for_event(session_id, "tool_call.action_required")
    await api.cancel(session_id)

    (received,) = await receiver.wait_for(1)

    assert (received.json["data"]["session_id"], received.json["data"]["status"]) == (session_id, "cancelled")


async def test_a_made_secret_is_shown_once_and_signs(api: Api, receiver: Receiver) -> None:
    project = await _new_project(api, {"url": receiver.url})
    path, (made,) = f"/projects/{project['id']}", project["webhooks"]

    read = ok(await api.http.get(path))
    await api.run_turn(await api.new_session(project_id=project["id"], agent_name="assistant"))

    (received,) = await receiver.wait_for(1)
    assert _verified(received, made["secret"])["type"] == "run.complete"
    assert made["events"] == ALL
    assert read["webhooks"] == [{name: value for name, value in made.items() if name != "secret"}]
    listed = ok(await api.http.get("/projects"))["projects"]
    assert made["secret"] not in str(listed)


async def test_a_change_keeps_the_secrets_of_the_urls_that_stay(api: Api) -> None:
    staying, gone, added = ("https://example.com/a", "https://example.com/b", "https://example.com/c")
    project = await _new_project(api, {"url": staying}, {"url": gone})
    path = f"/projects/{project['id']}"

    same = ok(await api.http.patch(path, json={"webhooks": [{"url": staying}, {"url": gone}]}))
    webhooks = [{"url": staying, "events": ["run.complete"]}, {"url": added}]
    changed = ok(await api.http.patch(path, json={"webhooks": webhooks}))
    given = ok(await api.http.patch(path, json={"webhooks": [{"url": staying, "secret": SECRET}]}))
    cleared = ok(await api.http.patch(path, json={"webhooks": None}))

    assert same["revision"] == project["revision"]
    assert [(each["url"], "secret" in each) for each in changed["webhooks"]] == [(staying, False), (added, True)]
    assert changed["webhooks"][0]["id"] == project["webhooks"][0]["id"] == given["webhooks"][0]["id"]
    assert "secret" not in given["webhooks"][0]
    assert cleared["webhooks"] == []


WRONG_URLS = [
    "ftp://example.com/",
    "http://example.com/",
    "https://",
    "https://user:pass@example.com/",
    "https://example.com/#part",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://[::ffff:10.0.0.1]/",
    "https://[64:ff9b::a00:1]/",
    "https://[fd00::1]/",
    "https://168.63.129.16/",
    "https://100.64.0.1/",
    "https://example.com:99999/",
    "https://exa mple.com/",
]


@pytest.mark.parametrize("url", WRONG_URLS)
async def test_a_url_that_may_not_be_called_is_refused(api: Api, url: str) -> None:
    problem = refusal(
        await api.http.post("/projects", json={"name": "Hooks", "webhooks": [{"url": url}]}), 422, "invalid_request"
    )

    assert problem["errors"][0]["pointer"] == "/webhooks/0/url"


@pytest.mark.parametrize(
    "webhooks",
    [
        [{"url": f"https://example.com/{number}"} for number in range(6)],
        [{"url": "https://example.com/" + "x" * 2048}],
        [{"url": "https://example.com/", "events": []}],
        [{"url": "https://example.com/", "events": ["run.start"]}],
        [{"url": "https://example.com/", "secret": "short"}],
        [{"url": "https://example.com/", "secret": "whsec_AAAA"}],
        [{}],
        "https://example.com/",
    ],
)
async def test_wrong_webhooks_are_refused(api: Api, webhooks: Any) -> None:
    refusal(await api.http.post("/projects", json={"name": "Hooks", "webhooks": webhooks}), 422, "invalid_request")


async def test_a_delivery_outlives_the_kill_of_the_server(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = ["503 Service Unavailable"]
    with running_host(tmp_path) as host:
        async with api_client(host) as api:
            _, session_id = await _session_for(api, receiver)
            message = await api.run_turn(session_id)
        host.kill()
    before = len(receiver.received)
    receiver.answers = ["200 OK"]

    with running_host(tmp_path):
        received = await receiver.wait_for(before + 1)

    assert _verified(received[-1])["data"]["message_id"] == message["message_id"]
    assert len({each.headers["webhook-id"] for each in received}) == 1


async def test_turns_that_end_while_the_server_is_killed_are_all_delivered(tmp_path: Path, receiver: Receiver) -> None:
    with running_host(tmp_path) as host:
        async with api_client(host) as api:
            project, first = await _session_for(api, receiver)
            rest = [await api.new_session(project_id=project["id"], agent_name="assistant") for _ in range(4)]
            sessions = [first, *rest]
            started = [await api.start_turn(each, model=f"fake-{20 + 5 * i}-5") for i, each in enumerate(sessions)]
            await asyncio.gather(*(api.wait_for_event(each, "message.delta") for each in sessions))
        host.kill()

    with running_host(tmp_path):

        async def has_all() -> bool:
            return len({each.json["data"]["message_id"] for each in receiver.received}) == len(started)

        await wait_until(has_all)

    assert {each.json["data"]["message_id"] for each in receiver.received} == {
        message["message_id"] for message in started
    }
