"""One scripted model server for each module of this folder, and its clients."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from openai import AsyncOpenAI

from tests.local.model.model_client import start, stop


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    process, url = start()
    yield url
    stop(process)


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=url.removesuffix("/v1"), timeout=60) as http:
        await http.post("/stats/reset")
        yield http


@pytest.fixture
async def model(url: str, http: httpx2.AsyncClient) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=url, api_key="sk-anything", max_retries=0, timeout=60) as client:
        yield client
