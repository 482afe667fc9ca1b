"""Log records have their trace. Texts of libraries and exceptions are not exported."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider

from turnlog.telemetry.logs import TelemetryHandler

SECRET = "what a user wrote"


@contextmanager
def exported_records(*, content: bool = False) -> Generator[Callable[[], list[Any]]]:
    """Add a handler to the root logger while the body runs. Yields a function that returns the exported records."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    handler = TelemetryHandler(provider, content=content)
    logging.getLogger().addHandler(handler)
    try:
        yield lambda: [each.log_record for each in exporter.get_finished_logs()]
    finally:
        logging.getLogger().removeHandler(handler)


def raise_and_log(name: str) -> None:
    try:
        int(SECRET)
    except ValueError:
        logging.getLogger(name).exception("it failed")


def test_a_line_has_the_trace_in_which_it_was_written() -> None:
    with exported_records() as records, TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        logging.getLogger("turnlog.services").warning("turn %s is silent", "turn_1")

    (record,) = records()
    assert (record.trace_id, record.span_id) == (span.get_span_context().trace_id, span.get_span_context().span_id)
    assert (record.body, record.severity_text) == ("turn turn_1 is silent", "WARNING")


def test_an_exception_is_recorded_with_type_and_stack_but_not_its_text() -> None:
    with exported_records() as records:
        raise_and_log("orchestrations.run_tool")

    (record,) = records()
    assert record.attributes["exception.type"] == "ValueError"
    assert "raise_and_log" in record.attributes["exception.stacktrace"]
    assert SECRET not in str(record)


def test_warnings_of_libraries_are_recorded_without_their_text() -> None:
    with exported_records() as records:
        logging.getLogger("asyncio").error("Task exception was never retrieved: %r", ValueError(SECRET))
        logging.getLogger("asyncio").info(SECRET)
        logging.getLogger("azure.core.pipeline").error(SECRET)
        raise_and_log("asyncio")

    assert [record.body for record in records()] == ["ERROR in asyncio", "ERROR in asyncio"]
    assert SECRET not in str(records())


@pytest.mark.parametrize("name", ["asyncio", "turnlog.api"])
def test_with_content_the_whole_line_is_recorded(name: str) -> None:
    with exported_records(content=True) as records:
        raise_and_log(name)

    (record,) = records()
    assert record.body == "it failed"
    assert SECRET in record.attributes["exception.message"]
