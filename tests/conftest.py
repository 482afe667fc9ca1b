"""What every test shares: async tests run on asyncio, and nothing is read from the developer's own environment."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
