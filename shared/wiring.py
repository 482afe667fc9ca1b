"""The composition root: which implementation stands behind each port, built once per process."""

import asyncio
import importlib
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property

from shared.domain.errors import NotSupportedError
from shared.models.missing import MissingModelClient
from shared.ports import ModelClient, ProjectStore, RoomFeed, RoomWriter, SessionLog, SignalR
from shared.services.export import Exports
from shared.services.fork import Forks
from shared.services.history import History
from shared.services.memory import Memories
from shared.services.messages import Messages
from shared.services.outside_events import Events
from shared.services.patches import Vibecoding
from shared.services.project_sessions import ProjectSessions
from shared.services.projects import Projects
from shared.services.rooms import Rooms
from shared.services.sessions import Sessions
from shared.services.turns.approvals import Actions
from shared.services.turns.cancelling import Control
from shared.services.turns.endings import Endings
from shared.services.turns.submit import TurnLimits, Turns
from shared.settings import Settings, settings
from shared.telemetry.active import telemetry
from shared.telemetry.models import observed_model
from shared.telemetry.stores import observed, unobserved


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Services:
    """Everything a function asks for. Lives as long as the process: Functions tells an app nothing of its end.

    Vendors' modules are imported where they are first needed: each costs a cold start up to a second.
    """

    def __init__(
        self,
        settings: Settings,
        log: SessionLog,
        project_store: ProjectStore,
        feed: RoomFeed,
        room_writer: RoomWriter | None = None,
    ) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.log = log
        self.project_store = project_store
        self.room_writer = room_writer
        self._feed = feed
        self._model: ModelClient | None = None

    @property
    def turn_timeout(self) -> timedelta:
        return timedelta(seconds=self.settings.turn_timeout_seconds)

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.log, self.clock)

    @cached_property
    def projects(self) -> Projects:
        return Projects(self.project_store, self.log, self.sessions, self.clock)

    @cached_property
    def project_sessions(self) -> ProjectSessions:
        return ProjectSessions(self.log, self.projects, self.sessions)

    @cached_property
    def events(self) -> Events:
        return Events(self.log, self.clock)

    @cached_property
    def exports(self) -> Exports:
        return Exports(self.log, self.clock)

    @cached_property
    def forks(self) -> Forks:
        return Forks(unobserved(self.log), self.clock)  # what it copies has happened already

    @cached_property
    def history(self) -> History:
        return History(self.log)

    @cached_property
    def turns(self) -> Turns:
        limits = TurnLimits(
            timeout=self.turn_timeout,
            queue=self.settings.queue_limit,
            default_model=self.settings.model,
            allowed_models=self.settings.allowed_models,
        )
        return Turns(self.log, self.clock, limits)

    @cached_property
    def messages(self) -> Messages:
        return Messages(self.log)

    @cached_property
    def rooms(self) -> Rooms:
        return Rooms(self._feed, self.log)

    @cached_property
    def memories(self) -> Memories:
        return Memories(self.log, self.clock)

    @cached_property
    def control(self) -> Control:
        return Control(self.log, self.clock, self.turn_timeout)

    @cached_property
    def actions(self) -> Actions:
        return Actions(self.log, self.clock, self.turn_timeout, self.settings.approval_timeout)

    @cached_property
    def endings(self) -> Endings:
        return Endings(self.log, self.clock, self.turn_timeout, self.vibecoding)

    @cached_property
    def vibecoding(self) -> Vibecoding:
        return Vibecoding(self.project_store, self.clock)

    @cached_property
    def signalr(self) -> SignalR:
        """Raises NotSupportedError: no SignalR service is configured."""
        if self.settings.signalr_endpoint is None:
            raise NotSupportedError("SignalR is not set up here: set SIGNALR_ENDPOINT, or read the streams.")
        module = importlib.import_module("shared.signalr")
        return module.SignalRClient(self.settings.signalr_endpoint, self.settings.signalr_hub)

    async def model(self) -> ModelClient:
        """The model client. Its first use imports the SDK and reads certificates, on a thread: open streams go on."""
        if self._model is None:
            made = await asyncio.to_thread(self._new_model)
            self._model = self._model or made  # another call may have been faster
        return self._model

    def _new_model(self) -> ModelClient:
        if not self.settings.has_model:
            return MissingModelClient()
        module = importlib.import_module("shared.models.openai")
        key = self.settings.openai_api_key
        secret = None if key is None else key.get_secret_value()
        client: ModelClient = module.OpenAIModelClient(self.settings.openai_base_url, secret)
        if (on := telemetry()) is None:
            return client
        return observed_model(on, client, "azure.ai.openai" if self.settings.calls_azure else "openai")


@cache
def services() -> Services:
    """The process's services. Call it only while the event loop runs: what it opens belongs to that loop."""
    current = settings()
    log, projects, feed, writer = _stores(current)
    if (on := telemetry()) is not None:
        system = "sqlite" if current.cosmos_endpoint is None else "azure.cosmosdb"
        log, projects = observed(on, log, system, "sessions"), observed(on, projects, system, "projects")
        feed = observed(on, feed, system, "rooms")
        writer = None if writer is None else observed(on, writer, system, "rooms")
    return Services(current, log, projects, feed, writer)


def _stores(current: Settings) -> tuple[SessionLog, ProjectStore, RoomFeed, RoomWriter | None]:
    """The stores on one database, which closing the log closes. A log that tells its rooms itself has no writer."""
    if current.cosmos_endpoint is not None:
        opening = importlib.import_module("shared.stores.cosmos.opening")  # a quarter of a second
        return opening.open_stores(current.cosmos_endpoint, current.cosmos_database)
    opening = importlib.import_module("shared.stores.sqlite.opening")
    log, projects = opening.open_stores(current.data_dir / "sessions.db")
    return log, projects, log.rooms, None
