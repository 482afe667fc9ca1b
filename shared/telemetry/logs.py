"""Log lines as OpenTelemetry's: each with the trace it was written in, none with what a user or a model wrote."""

import logging
import sys
import traceback
from typing import Any

from opentelemetry._logs import Logger, LoggerProvider, SeverityNumber

_OURS = ("shared.", "orchestrations.", "changes.")
# They log the sending of log lines.
_NEVER = ("opentelemetry", "azure.core", "azure.identity", "azure.monitor", "urllib3", "requests", "msal")
_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
)


class TelemetryHandler(logging.Handler):
    """Hands on our own lines from INFO, and from WARNING that there are others: libraries quote what they work on.

    Of an exception its type and its place are told; its text, like others' lines, only with `content`.
    """

    def __init__(self, provider: LoggerProvider, *, content: bool) -> None:
        super().__init__(logging.INFO)
        self._provider = provider
        self._content = content

    def emit(self, record: logging.LogRecord) -> None:
        is_ours = record.name.startswith(_OURS)
        if record.name.startswith(_NEVER) or not (is_ours or record.levelno >= logging.WARNING):
            return
        logger: Logger = self._provider.get_logger(record.name)
        severity = next((number for level, number in _SEVERITIES if record.levelno >= level), SeverityNumber.DEBUG)
        logger.emit(
            timestamp=int(record.created * 1_000_000_000),
            severity_number=severity,
            severity_text=record.levelname,
            body=record.getMessage() if is_ours or self._content else f"{record.levelname} in {record.name}",
            attributes={"code.file.path": record.pathname, "code.line.number": record.lineno} | self._raised(record),
        )

    def _raised(self, record: logging.LogRecord) -> dict[str, Any]:
        _, raised, _ = record.exc_info or (None, None, None)
        if raised is None:
            return {}
        frames = "".join(traceback.format_tb(raised.__traceback__))
        text = "".join(traceback.format_exception(raised)) if self._content else frames
        told = {"exception.type": type(raised).__qualname__, "exception.stacktrace": text}
        return told | ({"exception.message": str(raised)} if self._content else {})

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """A line that can't be told must not end in another line to tell."""
        print(f"a log line of {record.name} can't be told: {sys.exc_info()[1]!r}", file=sys.stderr)  # noqa: T201
