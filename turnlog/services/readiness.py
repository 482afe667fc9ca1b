"""Readiness: whether the parts of the service answer, asked at most once in a few seconds."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from turnlog.domain.errors import TurnlogError
from turnlog.domain.redaction import redact_keys

_log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 5.0
_MAX_AGE_SECONDS = 5.0

Parts = Mapping[str, Callable[[], Awaitable[object]]]


class Readiness:
    """One check at a time. Its result is kept for five seconds: anyone may ask, and a check costs requests."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._checking = asyncio.Lock()
        self._results: dict[str, bool] = {}
        self._checked_at = 0.0

    async def check(self, parts: Parts) -> Mapping[str, bool]:
        """Whether each of `parts` answers, by its name. The log says why one does not."""
        async with self._checking:
            if not self._results or self._seconds() - self._checked_at >= _MAX_AGE_SECONDS:
                answers = await asyncio.gather(*(_is_answering(name, check) for name, check in parts.items()))
                self._results, self._checked_at = dict(zip(parts, answers, strict=True)), self._seconds()
            return self._results


async def _is_answering(name: str, check: Callable[[], Awaitable[object]]) -> bool:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await check()
    except TimeoutError:
        _log.warning("not ready: the %s does not answer within %.0f s", name, _TIMEOUT_SECONDS)
    except TurnlogError as error:
        _log.warning("not ready: the %s fails: %s", name, redact_keys(str(error)))
    except Exception as error:  # noqa: BLE001  # the Durable client raises bare ones, and every failure is an answer
        _log.warning("not ready: the %s fails: %s: %s", name, type(error).__name__, redact_keys(str(error)))
    else:
        return True
    return False
