"""Failures of functions that nobody waits for: on Azure the host leaves log lines to the app, these too."""

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from shared.domain.faults import code_of, fault_domain

Background = TypeVar("Background", bound=Callable[..., Awaitable[None]])


def log_failures(function: Background) -> Background:
    """Log each failure of `function` with its fault domain, and let it be one."""

    @wraps(function)
    async def run(*given: Any, **bindings: Any) -> None:
        try:
            await function(*given, **bindings)
        except Exception as error:
            domain = fault_domain(code_of(error))
            logging.getLogger(function.__module__).exception("%s failed, a fault of %s", function.__name__, domain)
            raise

    return run  # pyright: ignore[reportReturnType]  # same signature, as @wraps says
