"""Every journey passes, on a local host or on a deployed app."""

import pytest

from tests.e2e.journeys import JOURNEYS, Journey
from tests.e2e.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]


@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda journey: journey.__name__)
async def test_journey(journey: Journey, service: Service) -> None:
    await journey(service)
