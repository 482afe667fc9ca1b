"""On Cosmos DB the spans of a turn and the metrics have the request units of each operation."""

import asyncio
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.contract.stores import CosmosDatabase, cosmos_database, cosmos_endpoint
from tests.http.api_client import api_client, running_host
from tests.telemetry.console_telemetry import CONSOLE_TELEMETRY, Recorded, wait_for_telemetry


@pytest.fixture
def account() -> Generator[dict[str, str]]:
    """The settings of a host on a Cosmos DB account, or on a server with the same protocol."""
    with asyncio.Runner() as runner, cosmos_endpoint() as endpoint:
        database = cosmos_database(endpoint)
        store = runner.run(database.__aenter__())
        assert isinstance(store, CosmosDatabase)
        try:
            yield {"COSMOS_ENDPOINT": store.endpoint, "COSMOS_DATABASE": store.name, "DELTA_FLUSH_MS": "50"}
        finally:
            runner.run(database.__aexit__(None, None, None))


async def run_turn(tmp_path: Path, account: dict[str, str]) -> Recorded:
    with running_host(tmp_path, {**CONSOLE_TELEMETRY, **account}) as host:
        async with api_client(host) as api:
            await api.run_turn(await api.new_session(), model="fake-40-10")

        def complete(seen: Recorded) -> bool:
            ended = seen.point("turnlog.turns", turnlog_outcome="completed")
            return ended is not None and bool(seen.named("POST /sessions/{session_id}/messages"))

        return await wait_for_telemetry(tmp_path / "host.log", complete)


def test_the_request_units_of_a_turn_are_recorded(tmp_path: Path, account: dict[str, str]) -> None:
    seen = asyncio.run(run_turn(tmp_path, account))

    turn = seen.one("invoke_agent assistant")
    stored = [span.attributes for span in seen.in_trace(turn.trace) if "db.system.name" in span.attributes]
    assert {each["db.system.name"] for each in stored} == {"azure.cosmosdb"}
    assert all(each["azure.cosmosdb.operation.request_charge"] > 0 for each in stored)
    appended = seen.point("azure.cosmosdb.client.operation.request_charge", db_operation_name="append")
    flushed = seen.point("azure.cosmosdb.client.operation.request_charge", db_operation_name="flush")
    (call,) = seen.named("call_model")
    assert appended is not None
    assert flushed is not None
    assert appended["sum"] >= len([each for each in stored if each["db.operation.name"] == "append"])
    assert 0 < flushed["count"] <= call.attributes["turnlog.flushes"]
