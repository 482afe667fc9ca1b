"""Calls functions as the worker does: `async def` on the loop, `def` on a thread."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from azure.functions.durable_functions import ActivityTriggerConverter
from azure.functions.meta import Datum

from local.host.index import Function


class Invoker:
    """Calls functions; `client` is what a durable client binding is given: JSON, from which the SDK makes a client."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._threads = ThreadPoolExecutor(thread_name_prefix="function")

    async def call(self, function: Function, value: Any) -> Any:
        """Call `function` with its trigger's `value`; raises what the function raises."""
        arguments = {function.trigger: value, **dict.fromkeys(function.clients, self._client)}
        if function.is_async:
            return await function.call(**arguments)
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function.call, **arguments))

    async def call_activity(self, function: Function, value: str | None) -> str:
        """Call an activity with JSON and return JSON, both through the converter that the worker uses."""
        decoded = ActivityTriggerConverter.decode(Datum(value, "string"), trigger_metadata=None)
        result = await self.call(function, decoded)
        return ActivityTriggerConverter.encode(result, expected_type=None).value

    def close(self) -> None:
        """Start no more threads; those that run cannot be stopped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
