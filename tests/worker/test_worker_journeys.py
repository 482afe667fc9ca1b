"""Every journey passes on the worker. Together they invoke every function of the app."""

import asyncio

import pytest

from tests.e2e.journeys import JOURNEYS, Journey
from tests.e2e.service import Service
from tests.worker.host.driver import Worker

pytestmark = pytest.mark.anyio

# Called only after some time: test_worker_timers.py and test_worker_turn.py call them.
_CALLED_BY_TIME = {"sweep_turns", "clear_deleted", "purge_instances"}


@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda journey: journey.__name__)
async def test_journey_on_the_worker(journey: Journey, service: Service) -> None:
    await journey(service)


async def test_every_function_is_invoked_by_a_journey(worker: Worker, service: Service) -> None:
    worker.invoked.clear()

    await asyncio.gather(*(journey(service) for journey in JOURNEYS))

    assert set(worker.functions) - worker.invoked == _CALLED_BY_TIME
