"""These tests need openai-agents, which is in a separate environment: see environment.py."""

import importlib.util

import pytest

if importlib.util.find_spec("agents") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
