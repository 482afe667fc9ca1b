"""The app's services on a server of habits. `TURNLOG_TEST_STORE=cosmos` stores the sessions in Cosmos DB."""

import os
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.contract.stores import CosmosDatabase, cosmos_database, cosmos_endpoint
from tests.model_servers.server import ModelServer
from tests.model_servers.turns import AGENT, MAX_SILENCE_SECONDS
from turnlog import wiring
from turnlog.agents.registry import AGENTS
from turnlog.settings import Settings, settings
from turnlog.wiring import Services


@pytest.fixture(scope="session")
def endpoint() -> Generator[str | None]:
    if os.environ.get("TURNLOG_TEST_STORE") != "cosmos":
        yield None
        return
    with cosmos_endpoint() as endpoint:
        yield endpoint


@asynccontextmanager
async def open_store(endpoint: str | None, folder: Path) -> AsyncGenerator[Mapping[str, str]]:
    """The settings of an empty store."""
    if endpoint is None:
        yield {"DATA_DIR": str(folder)}
        return
    async with cosmos_database(endpoint) as database:
        assert isinstance(database, CosmosDatabase)
        yield {"COSMOS_ENDPOINT": endpoint, "COSMOS_DATABASE": database.name, "DELTA_FLUSH_MS": "15"}


@asynccontextmanager
async def open_app(server: ModelServer, variables: Mapping[str, str]) -> AsyncGenerator[Services]:
    """The app's services on the server, without pauses between calls other than those that the server asks for."""
    values = {
        "OPENAI_BASE_URL": server.url,
        "OPENAI_API_KEY": "a-key-of-no-account",
        "MODEL": "plain",
        "MODEL_MAX_SILENCE_SECONDS": str(MAX_SILENCE_SECONDS),
        **variables,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in (*Settings.model_fields, "website_instance_id"):
            patch.delenv(name.upper(), raising=False)
        for name, value in values.items():
            patch.setenv(name, value)
        patch.setattr("turnlog.services.turns.model_retries._PAUSES", (0.0,))
        patch.setitem(AGENTS, AGENT.name, AGENT)
        settings.cache_clear()
        wiring.services.cache_clear()
        app = wiring.services()
        yield app
        await (await app.model()).close()
        await app.log.close()
        wiring.services.cache_clear()
        settings.cache_clear()


@pytest.fixture
def variables() -> dict[str, str]:
    """More settings."""
    return {}


@pytest.fixture
async def app(
    endpoint: str | None, server: ModelServer, variables: dict[str, str], tmp_path: Path
) -> AsyncGenerator[Services]:
    async with open_store(endpoint, tmp_path) as store, open_app(server, {**store, **variables}) as app:
        yield app
