"""Fixtures for the tests of the local host."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
