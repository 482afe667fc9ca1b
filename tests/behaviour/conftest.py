"""The services as a process builds them: SQLite in the test's own folder, the scripted model, and a test clock."""

from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from turnlog import wiring
from turnlog.local.model.launch import ModelServer
from turnlog.ports import ModelClient
from turnlog.settings import Settings, settings
from turnlog.wiring import Services, SystemClock


class Clock(SystemClock):
    """A clock that only the test moves. The store's clock moves with it."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def seconds(self) -> float:
        return self.moment.timestamp()

    def now(self) -> datetime:
        return self.moment

    def move(self, by: timedelta) -> None:
        self.moment += by


@pytest.fixture(scope="session")
def model_url() -> Generator[str]:
    with ModelServer() as server:
        yield server.wait()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment without any setting."""
    for name in (*Settings.model_fields, "website_instance_id"):
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.time", clock.seconds)
    return clock


@pytest.fixture
async def app(
    environment: pytest.MonkeyPatch, tmp_path: Path, model_url: str, clock: Clock
) -> AsyncGenerator[Services]:
    """The services that the functions under test get from `services()`."""
    values = {"DATA_DIR": str(tmp_path), "OPENAI_BASE_URL": model_url, "OPENAI_API_KEY": "k", "MODEL": "fake-20-0"}
    for name, value in values.items():
        environment.setenv(name, value)
    settings.cache_clear()
    wiring.services.cache_clear()
    app = wiring.services()
    app.clock = clock
    yield app
    await app.log.close()
    wiring.services.cache_clear()
    settings.cache_clear()


@pytest.fixture
async def model(app: Services) -> AsyncGenerator[ModelClient]:
    """The model client of the services, for tests that call it."""
    model = await app.model()
    yield model
    await model.close()
