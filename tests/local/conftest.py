"""Fixtures for the tests of the local machine."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
