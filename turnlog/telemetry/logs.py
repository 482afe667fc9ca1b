"""Log lines as OpenTelemetry records: each has its trace, and none has what a user or a model wrote."""

import logging
import sys
import traceback
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from opentelemetry._logs import Logger, LoggerProvider, SeverityNumber

from turnlog.domain.faults import code_of, fault_domain

BackgroundFunction = TypeVar("BackgroundFunction", bound=Callable[..., Awaitable[None]])

_OWN = ("shared.", "orchestrations.", "changes.")
# They log the export of log lines.
_EXPORTERS = ("opentelemetry", "azure.core", "azure.identity", "azure.monitor", "urllib3", "requests", "msal")
_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
)


class TelemetryHandler(logging.Handler):
    """Records our own lines from INFO on. Of a library's lines from WARNING on, only the level and the logger.

    Libraries quote the data they work on, so their texts are recorded only with `content`. The same holds for the text
    of an exception; its type and its stack are always recorded.
    """

    def __init__(self, provider: LoggerProvider, *, content: bool) -> None:
        super().__init__(logging.INFO)
        self._provider = provider
        self._content = content

    def emit(self, record: logging.LogRecord) -> None:
        is_own = record.name.startswith(_OWN)
        if record.name.startswith(_EXPORTERS) or not (is_own or record.levelno >= logging.WARNING):
            return
        target: Logger = self._provider.get_logger(record.name)
        severity = next((number for level, number in _SEVERITIES if record.levelno >= level), SeverityNumber.DEBUG)
        target.emit(
            timestamp=int(record.created * 1_000_000_000),
            severity_number=severity,
            severity_text=record.levelname,
            body=record.getMessage() if is_own or self._content else f"{record.levelname} in {record.name}",
            attributes={"code.file.path": record.pathname, "code.line.number": record.lineno} | self._exception(record),
        )

    def _exception(self, record: logging.LogRecord) -> dict[str, Any]:
        _, error, _ = record.exc_info or (None, None, None)
        if error is None:
            return {}
        frames = "".join(traceback.format_tb(error.__traceback__))
        text = "".join(traceback.format_exception(error)) if self._content else frames
        attributes = {"exception.type": type(error).__qualname__, "exception.stacktrace": text}
        return attributes | ({"exception.message": str(error)} if self._content else {})

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """A line that can't be exported must not cause another line."""
        print(f"a log line of {record.name} can't be exported: {sys.exc_info()[1]!r}", file=sys.stderr)  # noqa: T201


def log_failures(function: BackgroundFunction) -> BackgroundFunction:
    """Log each failure of `function` with its fault domain, and raise it again.

    For functions whose result nobody waits for: on Azure the host leaves log lines to the app, also these.
    """

    @wraps(function)
    async def run(*arguments: Any, **bindings: Any) -> None:
        try:
            await function(*arguments, **bindings)
        except Exception as error:
            domain = fault_domain(code_of(error))
            logging.getLogger(function.__module__).exception("%s failed, a fault of %s", function.__name__, domain)
            raise

    return run  # pyright: ignore[reportReturnType]  # same signature, as @wraps says
