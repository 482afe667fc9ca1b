"""Waiting for the store: work that has begun is not given up because the store is unavailable for a while."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import chain, repeat
from typing import TypeVar

from turnlog.domain.errors import StoreUnavailableError
from turnlog.ports import Clock

T = TypeVar("T")

_PAUSES = (0.1, 0.2, 0.5, 1.0)
"""Seconds between calls; the last one repeats. They are short, so that an attempt writes soon after an outage."""

_log = logging.getLogger(__name__)


async def hold(clock: Clock, until: datetime, call: Callable[[], Awaitable[T]]) -> T:
    """The result of `call`, which is repeated while the store is unavailable, until the time `until`.

    `call` must be safe to repeat: a write may have been done although its reply was lost.

    Raises:
        StoreUnavailableError: the store is still unavailable at `until`.
    """
    for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
        try:
            return await call()
        except StoreUnavailableError as error:
            if clock.now() >= until:
                raise
            _log.debug("The store is called again in %s s: %s", pause, error)
        await asyncio.sleep(pause)
    raise AssertionError("unreachable")
