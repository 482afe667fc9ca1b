"""Log lines carry their trace, and what libraries and exceptions quote stays here."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider

from shared.telemetry.logs import TelemetryHandler

SECRET = "what a user wrote"


@contextmanager
def telling(*, content: bool = False) -> Generator[Callable[[], list[Any]]]:
    """A handler on the root logger meanwhile; the records it told of."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    handler = TelemetryHandler(provider, content=content)
    logging.getLogger().addHandler(handler)
    try:
        yield lambda: [each.log_record for each in exporter.get_finished_logs()]
    finally:
        logging.getLogger().removeHandler(handler)


def raise_and_log(logger: str) -> None:
    try:
        int(SECRET)
    except ValueError:
        logging.getLogger(logger).exception("it failed")


def test_a_line_is_told_with_the_trace_it_was_written_in() -> None:
    with telling() as told, TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        logging.getLogger("shared.services").warning("turn %s stands still", "turn_1")

    (record,) = told()
    assert (record.trace_id, record.span_id) == (span.get_span_context().trace_id, span.get_span_context().span_id)
    assert (record.body, record.severity_text) == ("turn turn_1 stands still", "WARNING")


def test_of_an_exception_its_type_and_place_are_told_and_not_its_text() -> None:
    with telling() as told:
        raise_and_log("orchestrations.run_tool")

    (record,) = told()
    assert record.attributes["exception.type"] == "ValueError"
    assert "raise_and_log" in record.attributes["exception.stacktrace"]
    assert SECRET not in str(record)


def test_of_others_lines_only_is_told_that_there_are_warnings() -> None:
    with telling() as told:
        logging.getLogger("asyncio").error("Task exception was never retrieved: %r", ValueError(SECRET))
        logging.getLogger("asyncio").info(SECRET)
        logging.getLogger("azure.core.pipeline").error(SECRET)
        raise_and_log("asyncio")

    assert [record.body for record in told()] == ["ERROR in asyncio", "ERROR in asyncio"]
    assert SECRET not in str(told())


@pytest.mark.parametrize("logger", ["asyncio", "shared.api"])
def test_where_content_is_asked_for_all_of_a_line_is_told(logger: str) -> None:
    with telling(content=True) as told:
        raise_and_log(logger)

    (record,) = told()
    assert record.body == "it failed"
    assert SECRET in record.attributes["exception.message"]
