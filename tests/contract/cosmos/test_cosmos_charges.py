"""The metric of what store operations cost, by operation, from the charges in Cosmos DB's responses."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.contract.factories import RUN, append_events, create_session, delta, message
from tests.contract.stores import cosmos_database
from turnlog.domain.errors import SequenceTakenError
from turnlog.domain.events import UserMessage
from turnlog.ports import SessionLog
from turnlog.telemetry import names
from turnlog.telemetry.recorder import Telemetry
from turnlog.telemetry.stores import observed_stores, unobserved

pytestmark = pytest.mark.anyio


class Recorded:
    """The spans and metrics of this process."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._metrics = InMemoryMetricReader()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.telemetry = Telemetry(provider.get_tracer("test"), MeterProvider([self._metrics]).get_meter("test"))

    def operations(self) -> list[ReadableSpan]:
        spans = self._spans.get_finished_spans()
        self._spans.clear()
        return [span for span in spans if names.STORE_OPERATION in (span.attributes or {})]

    def charges(self) -> dict[str, float]:
        """The sums of request units, by operation."""
        data = self._metrics.get_metrics_data()
        assert data is not None
        metrics = [each for one in data.resource_metrics for scope in one.scope_metrics for each in scope.metrics]
        points: list[Any] = [
            point for each in metrics if each.name == names.STORE_CHARGE for point in each.data.data_points
        ]
        return {point.attributes[names.STORE_OPERATION]: point.sum for point in points}


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
async def log(endpoint: str, recorded: Recorded) -> AsyncGenerator[SessionLog]:
    async with cosmos_database(endpoint) as store:
        log = observed_stores(recorded.telemetry, store.open(), "azure.cosmosdb").log
        yield log
        await log.close()


async def test_an_operation_costs_the_sum_of_its_requests(log: SessionLog, recorded: Recorded) -> None:
    with recorded.telemetry.span("work", {}):
        state = await create_session(log)
        recorded.operations()
        await log.state(state.session_id)  # the checkpoint, and whether more follows

    (read,) = recorded.operations()
    assert read.name == "state sessions"
    assert (read.attributes or {})[names.CHARGE] == 2.0
    assert (read.attributes or {})[names.STORE] == "azure.cosmosdb"


async def test_charges_are_recorded_by_operation_even_if_nothing_is_traced(log: SessionLog, recorded: Recorded) -> None:
    state = await create_session(log)
    before = recorded.charges()
    state = await append_events(log, state, UserMessage(content="Hello"), RUN, documents=[message(state, 1, 2)])
    await append_events(log, state, delta())
    with log.watch(state.session_id) as tail:
        await tail.wait(state.head + 1, timedelta(seconds=0.2))

    after = recorded.charges()
    assert after["append"] == before["append"] + 1
    assert after["flush"] == 1
    assert after["poll"] >= 1
    assert recorded.operations() == []


async def test_a_lost_race_is_recorded_as_an_error_type_but_not_as_a_failure(
    log: SessionLog, recorded: Recorded
) -> None:
    state = await create_session(log)
    await append_events(log, state, delta())
    with recorded.telemetry.span("work", {}), pytest.raises(SequenceTakenError):
        await append_events(log, state, UserMessage(content="Hello"))

    (lost,) = recorded.operations()
    assert (lost.status.is_ok, (lost.attributes or {})["error.type"]) == (True, "sequence_taken")


async def test_operations_of_an_unobserved_store_are_not_recorded(log: SessionLog, recorded: Recorded) -> None:
    state = await create_session(unobserved(log))

    await append_events(unobserved(log), state, delta())

    assert recorded.operations() == []
