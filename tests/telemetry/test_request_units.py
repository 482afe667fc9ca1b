"""On Cosmos DB a turn's spans and the metrics say what it cost in request units, operation by operation."""

import asyncio
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.contract.stores import CosmosStore, cosmos_endpoint, cosmos_store
from tests.http.api_client import api_of, running_host
from tests.telemetry.seeing import TELLING, Told, told_when


@pytest.fixture
def account() -> Generator[dict[str, str]]:
    """The settings of a host on a Cosmos DB account, or on a server that speaks its protocol."""
    with asyncio.Runner() as runner, cosmos_endpoint() as endpoint:
        database = cosmos_store(endpoint)
        store = runner.run(database.__aenter__())
        assert isinstance(store, CosmosStore)
        try:
            yield {"COSMOS_ENDPOINT": store.endpoint, "COSMOS_DATABASE": store.database, "DELTA_FLUSH_MS": "50"}
        finally:
            runner.run(database.__aexit__(None, None, None))


async def turn_told(tmp_path: Path, account: dict[str, str]) -> Told:
    with running_host(tmp_path, {**TELLING, **account}) as host:
        async with api_of(host) as api:
            await api.say(await api.new_session(), model="fake-40-10")

        def complete(seen: Told) -> bool:
            ended = seen.point("turnlog.turns", turnlog_outcome="completed")
            return ended is not None and bool(seen.named("POST /sessions/{session_id}/messages"))

        return await told_when(tmp_path / "host.log", complete)


def test_a_turn_says_what_it_cost(tmp_path: Path, account: dict[str, str]) -> None:
    seen = asyncio.run(turn_told(tmp_path, account))

    turn = seen.the("invoke_agent assistant")
    stored = [span.attributes for span in seen.of(turn.trace) if "db.system.name" in span.attributes]
    assert {each["db.system.name"] for each in stored} == {"azure.cosmosdb"}
    assert all(each["azure.cosmosdb.operation.request_charge"] > 0 for each in stored)
    appended = seen.point("azure.cosmosdb.client.operation.request_charge", db_operation_name="append")
    flushed = seen.point("azure.cosmosdb.client.operation.request_charge", db_operation_name="flush")
    (call,) = seen.named("call_model")
    assert appended is not None
    assert flushed is not None
    assert appended["sum"] >= len([each for each in stored if each["db.operation.name"] == "append"])
    assert 0 < flushed["count"] <= call.attributes["turnlog.flushes"]
