"""Costs: with prices of models, what each call, turn, session and project costs."""

import json
from collections.abc import AsyncGenerator, Generator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.http.api_client import JSON, Api, Host, api_client, ok, running_host

pytestmark = pytest.mark.anyio

PRICES = {"fake-*": {"input": 0.1, "output": 0.7}}


@pytest.fixture(scope="module")
def priced_host(tmp_path_factory: pytest.TempPathFactory, store_environment: dict[str, str]) -> Generator[Host]:
    data_dir: Path = tmp_path_factory.mktemp("priced")
    with running_host(data_dir, {"MODEL_PRICES": json.dumps(PRICES), **store_environment}) as host:
        yield host


@pytest.fixture
async def priced(priced_host: Host) -> AsyncGenerator[Api]:
    async with api_client(priced_host) as api:
        yield api


def _cost_of(usage: JSON) -> float:
    return float((usage["prompt_tokens"] * Decimal("0.1") + usage["completion_tokens"] * Decimal("0.7")) / 1_000_000)


async def _new_project(api: Api) -> str:
    return f"/projects/{ok(await api.http.post('/projects', json={'name': 'Costs'}), 201)['id']}"


async def _data_of(api: Api, session_id: str, event_type: str) -> list[Any]:
    return [event["data"] for event in await api.events(session_id) if event["type"] == event_type]


async def test_a_message_and_its_turn_have_the_cost_of_their_calls(priced: Api) -> None:
    session_id = await priced.new_session()

    message = await priced.run_turn(session_id, 'call calculate {"expression": "6*7"}')

    calls = await _data_of(priced, session_id, "token_usage")
    (end,) = await _data_of(priced, session_id, "run.complete")
    assert [call["cost"] for call in calls] == [_cost_of(call) for call in calls]
    assert len(calls) == 2
    assert message["cost"] == end["cost"] == _cost_of(message["usage"]) > 0
    assert ok(await priced.http.get(f"/messages/{message['message_id']}/full"))["cost"] == message["cost"]
    assert (await priced.session(session_id))["cost"] == message["cost"]


async def test_a_cancel_reports_the_cost_so_far(priced: Api) -> None:
    session_id = await priced.new_session()
    await priced.start_turn(session_id, 'call calculate {"expression": "6*7"}', model="fake-500-20")
    await priced.wait_for_event(session_id, "message.delta", 2)

    receipt = ok(await priced.cancel(session_id))

    assert receipt["status"] == "cancelled"
    assert receipt["usage"]["total_tokens"] > 0
    assert receipt["cost"] == receipt["message"]["cost"] == _cost_of(receipt["usage"])


async def test_the_usage_of_a_project_sums_its_costs_by_agent_and_model(priced: Api) -> None:
    path = await _new_project(priced)
    session_id = await priced.new_session(project_id=path[10:], agent_name="assistant")
    messages = [await priced.run_turn(session_id, model=model) for model in ("fake-3-0", "fake-7-0", "fake-7-0")]

    own = ok(await priced.http.get(f"/sessions/{session_id}/usage"))
    whole = ok(await priced.http.get(f"{path}/usage"))

    total = float(sum(Decimal(str(message["cost"])) for message in messages))
    assert own["cost"] == whole["cost"] == total == whole["agents"]["assistant"]["cost"]
    assert whole["models"]["fake-3-0"]["cost"] == messages[0]["cost"]
    assert [row["cost"] for row in own["rows"]] == [_cost_of(row) for row in own["rows"]]


async def test_a_model_without_a_price_has_no_cost_and_adds_none(priced: Api) -> None:
    session_id = await priced.new_session()
    priced_message = await priced.run_turn(session_id)

    message = await priced.run_turn(session_id, model="flaky-1-recovers")

    usage = ok(await priced.http.get(f"/sessions/{session_id}/usage"))
    assert message["usage"]["total_tokens"] > 0
    assert "cost" not in message
    assert "cost" not in (await _data_of(priced, session_id, "run.complete"))[-1]
    assert "cost" not in usage["models"]["flaky-1-recovers"]
    assert usage["cost"] == priced_message["cost"]


async def test_a_fork_has_cost_nothing_yet(priced: Api) -> None:
    session_id = await priced.new_session()
    await priced.run_turn(session_id)

    fork = ok(await priced.http.post(f"/sessions/{session_id}/fork", json={}), 201)

    (copied,) = ok(await priced.http.get(f"/sessions/{fork['session_id']}/messages"))
    assert "cost" not in fork
    assert "cost" not in copied


async def test_nothing_has_a_cost_without_prices(api: Api) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(session_id)

    assert "cost" not in message
    assert "cost" not in ok(await api.http.get(f"/sessions/{session_id}/usage"))
    assert not any("cost" in event["data"] for event in await api.events(session_id))
