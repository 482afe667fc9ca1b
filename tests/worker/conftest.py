"""One worker for all tests of this folder. Without the worker's environment only `test_worker.py` is collected."""

import importlib.util
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.e2e.service import SLOW_MODEL, Service, service_from
from tests.http.api_client import Api
from tests.worker.host.driver import Worker, running_worker
from tests.worker.host.engine import durable_engine
from tests.worker.host.extension import Endpoint, durable_endpoint
from turnlog.local.model.launch import ModelServer
from turnlog.settings import Settings

pytest.register_assert_rewrite("tests.e2e.project_journeys", "tests.e2e.session_journeys", "tests.e2e.turn_journeys")

_HAS_WORKER = importlib.util.find_spec("azure_functions_runtime") is not None

collect_ignore_glob = ["test_worker.py" if _HAS_WORKER else "test_worker_*.py"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """The app's environment: a scripted model of twenty tokens, and an own data folder."""
    with pytest.MonkeyPatch.context() as environment, ModelServer() as model:
        for name in Settings.model_fields:
            environment.delenv(name.upper(), raising=False)
        environment.setenv("OPENAI_BASE_URL", model.wait())
        environment.setenv("OPENAI_API_KEY", "unused")
        environment.setenv("MODEL", "fake-20-0")
        environment.setenv("DATA_DIR", str(tmp_path_factory.mktemp("data")))
        environment.setenv("AZURE_FUNCTIONS_DURABLE_STRICT_TYPING", "1")
        yield


@pytest.fixture(scope="session")
async def worker(anyio_backend: str, settings: None) -> AsyncGenerator[Worker]:
    async with running_worker(Path(__file__).parents[2]) as worker:
        yield worker


@pytest.fixture
def api(worker: Worker) -> Api:
    return service_from(worker.http).api


@pytest.fixture
async def durable(worker: Worker) -> AsyncGenerator[Endpoint]:
    """The endpoint that the durable clients of the app's functions call."""
    async with durable_endpoint() as (endpoint, worker.durable_client):
        yield endpoint


@pytest.fixture
async def service(worker: Worker, tmp_path: Path) -> AsyncGenerator[Service]:
    """The whole app, with an engine that runs its turns."""
    async with durable_engine(worker, tmp_path) as worker.durable_client:
        yield service_from(worker.http, SLOW_MODEL)
