"""The functions of an app, by kind, and how each is called: as the worker calls it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from azure.functions.durable_functions import ActivityTriggerConverter
from azure.functions.meta import Datum

from turnlog.local.host.routes import Route


@dataclass(frozen=True)
class Function:
    """An `async def` of the app. `trigger` is the parameter for its trigger's value; `clients` are its durable clients.

    A durable client is given as JSON, from which the SDK makes a client.
    """

    name: str
    body: Callable[..., Any]
    trigger: str
    clients: Mapping[str, str] = field(default_factory=dict[str, str])

    async def call(self, value: Any) -> Any:
        """Call the function with its trigger's `value`; raises what the function raises."""
        return await self.body(**{self.trigger: value, **self.clients})

    async def call_activity(self, value: str | None) -> str:
        """Call an activity with JSON and return JSON, both through the converter that the worker uses."""
        decoded = ActivityTriggerConverter.decode(Datum(value, "string"), trigger_metadata=None)
        result = await self.call(decoded)
        return ActivityTriggerConverter.encode(result, expected_type=None).value


@dataclass(frozen=True)
class TimerFunction:
    """A function on a schedule (NCRONTAB)."""

    function: Function
    schedule: str
    run_on_startup: bool


@dataclass(frozen=True)
class FeedFunction:
    """A function that gets the changes of a Cosmos DB container, and its trigger's settings.

    `retry_min` and `retry_max` bound the pause before the function gets a batch again that it failed on.
    """

    function: Function
    connection: str
    database: str
    container: str
    lease_container: str
    lease_prefix: str
    poll_delay: timedelta
    max_items: int
    retry_min: timedelta
    retry_max: timedelta


@dataclass
class Index:
    """All functions of an app, by kind; orchestrators and activities under the names by which they are called."""

    routes: list[Route[Function]] = field(default_factory=list[Route[Function]])
    orchestrators: dict[str, Callable[..., str]] = field(default_factory=dict[str, Callable[..., str]])
    activities: dict[str, Function] = field(default_factory=dict[str, Function])
    timers: list[TimerFunction] = field(default_factory=list[TimerFunction])
    feeds: list[FeedFunction] = field(default_factory=list[FeedFunction])
