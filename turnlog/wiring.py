"""The composition root: which implementation each port has, built once per process."""

import asyncio
import importlib
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property

from turnlog.domain.errors import NotSupportedError
from turnlog.models.unconfigured import UnconfiguredModelClient
from turnlog.ports import ModelClient, SignalR, SocketIo, WebSockets
from turnlog.services.clearing import Clearing
from turnlog.services.export import Exports
from turnlog.services.fork import Forks
from turnlog.services.history import History
from turnlog.services.limits import Limits
from turnlog.services.memory import Memories
from turnlog.services.messages import Messages
from turnlog.services.outside_events import OutsideEvents
from turnlog.services.projects.budgets import Budgets
from turnlog.services.projects.deletions import Deletions
from turnlog.services.projects.options import ProjectOptions
from turnlog.services.projects.patches import ProjectPatches
from turnlog.services.projects.projects import Projects
from turnlog.services.projects.rooms import Rooms
from turnlog.services.projects.sessions import ProjectSessions
from turnlog.services.projects.webhooks import Deliveries, Webhooks
from turnlog.services.readiness import Readiness
from turnlog.services.retention import Retention
from turnlog.services.runs import Runs
from turnlog.services.sessions import Sessions
from turnlog.services.turns.approvals import Approvals
from turnlog.services.turns.cancelling import Cancelling
from turnlog.services.turns.endings import Endings
from turnlog.services.turns.model_calls import ModelCalls
from turnlog.services.turns.model_retries import CallSettings
from turnlog.services.turns.relay import Relay
from turnlog.services.turns.repair import Repair
from turnlog.services.turns.submit import MessageLimits, Turns
from turnlog.services.turns.tool_calls import ToolCalls
from turnlog.settings import Settings, settings
from turnlog.stores import Stores, cosmos, sqlite
from turnlog.telemetry.models import observe_model
from turnlog.telemetry.recorder import current_telemetry
from turnlog.telemetry.stores import observed_stores, unobserved


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Services:
    """Everything that a function needs. It lives as long as the process: Functions does not announce the end of an app.

    Vendors' modules are imported where they are first needed: each adds up to a second to a cold start.
    """

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.log = stores.log
        self.project_store = stores.projects
        self.room_writer = stores.room_writer
        self._room_feed = stores.rooms
        self._model: ModelClient | None = None

    @property
    def turn_timeout(self) -> timedelta:
        return timedelta(seconds=self.settings.turn_timeout_seconds)

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.log, self.clock)

    @cached_property
    def projects(self) -> Projects:
        return Projects(self.project_store, self.clock, self.project_options)

    @cached_property
    def project_options(self) -> ProjectOptions:
        return ProjectOptions(self.project_store, self.clock)

    @cached_property
    def budgets(self) -> Budgets:
        return Budgets(self.log, self.project_store, self.clock, self.project_options)

    @cached_property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.clock, self.project_options, allows_loopback=self.settings.auth_mode == "none")

    @cached_property
    def deliveries(self) -> Deliveries:
        module = importlib.import_module("turnlog.webhooks")
        sender = module.HttpWebhookSender(allows_loopback=self.settings.auth_mode == "none")
        return Deliveries(self.log, self.project_store, sender, self.clock)

    @cached_property
    def project_sessions(self) -> ProjectSessions:
        return ProjectSessions(self.log, self.projects, self.sessions)

    @cached_property
    def outside_events(self) -> OutsideEvents:
        return OutsideEvents(self.log, self.clock)

    @cached_property
    def exports(self) -> Exports:
        return Exports(self.log, self.clock)

    @cached_property
    def forks(self) -> Forks:
        return Forks(unobserved(self.log), self.clock)  # a copied event was recorded when it happened

    @cached_property
    def history(self) -> History:
        return History(self.log)

    @cached_property
    def turns(self) -> Turns:
        limits = MessageLimits(
            queue=self.settings.queue_limit,
            default_model=self.settings.model,
            allowed_models=self.settings.allowed_models,
        )
        return Turns(self.log, self.clock, limits, self.limits, self.budgets)

    @cached_property
    def messages(self) -> Messages:
        return Messages(self.log)

    @cached_property
    def rooms(self) -> Rooms:
        return Rooms(self._room_feed, self.log)

    @cached_property
    def memories(self) -> Memories:
        return Memories(self.log, self.clock)

    @cached_property
    def cancelling(self) -> Cancelling:
        return Cancelling(self.log, self.clock)

    @cached_property
    def approvals(self) -> Approvals:
        return Approvals(self.log, self.clock, self.settings.approval_timeout, self.webhooks)

    @cached_property
    def runs(self) -> Runs:
        return Runs(self.log, self.turns, self.approvals)

    @cached_property
    def endings(self) -> Endings:
        return Endings(self.log, self.clock, self.project_patches, self.webhooks)

    @cached_property
    def model_calls(self) -> ModelCalls:
        return ModelCalls(
            log=self.log,
            clock=self.clock,
            vibecoding=self.project_patches,
            model=self.model,
            new_relay=self._new_relay,
            renew_lease_after=self.settings.timings.renew_lease_after,
            settings=CallSettings(
                max_silence=self.settings.model_max_silence,
                max_call=self.settings.model_max_call,
                options=self.settings.model_options,
                headers=self.settings.model_headers,
            ),
            prices=self.settings.model_prices,
            budgets=self.budgets,
            webhooks=self.webhooks,
        )

    def _new_relay(self) -> Relay:
        settings = self.settings
        return Relay(settings.flush_ms, settings.delta_flush_bytes, only_text=not settings.detail_deltas)

    @cached_property
    def tool_calls(self) -> ToolCalls:
        return ToolCalls(self.log, self.clock, self.project_patches, self.settings.timings.renew_lease_after)

    @cached_property
    def repair(self) -> Repair:
        return Repair(
            log=self.log,
            clock=self.clock,
            approvals=self.approvals,
            endings=self.endings,
            timings=self.settings.timings,
            turn_timeout=self.turn_timeout,
        )

    @cached_property
    def clearing(self) -> Clearing:
        return Clearing(self.log, self.clock, self.forks, self.settings.timings.clear_after, self.webhooks)

    @cached_property
    def retention(self) -> Retention:
        days = self.settings.session_ttl_days
        return Retention(self.log, self.sessions, self.clock, None if days is None else timedelta(days=days))

    @cached_property
    def deletions(self) -> Deletions:
        timings = self.settings.timings
        return Deletions(self.projects, self.project_store, self.log, self.sessions, self.clock, timings)

    @cached_property
    def project_patches(self) -> ProjectPatches:
        return ProjectPatches(self.project_store, self.clock)

    @cached_property
    def limits(self) -> Limits:
        return Limits(self.settings.owner_limits, self.log)

    @cached_property
    def readiness(self) -> Readiness:
        return Readiness()

    @cached_property
    def signalr(self) -> SignalR:
        """Raises NotSupportedError: no SignalR service is configured."""
        if self.settings.signalr_endpoint is None:
            raise NotSupportedError("SignalR is not set up here: set SIGNALR_ENDPOINT, or read the streams.")
        module = importlib.import_module("turnlog.signalr")
        return module.SignalRClient(self.settings.signalr_endpoint, self.settings.signalr_hub)

    @cached_property
    def socketio(self) -> SocketIo:
        """Raises NotSupportedError: no Web PubSub for Socket.IO is configured."""
        if self.settings.socketio_endpoint is None:
            raise NotSupportedError("Socket.IO is not set up here: set SOCKETIO_ENDPOINT, or read the streams.")
        module = importlib.import_module("turnlog.webpubsub")
        return module.SocketIoService(self.settings.socketio_endpoint, self.settings.socketio_hub)

    @cached_property
    def websockets(self) -> WebSockets:
        """Raises NotSupportedError: no Web PubSub for WebSockets is configured."""
        if self.settings.websocket_endpoint is None:
            raise NotSupportedError("WebSockets are not set up here: set WEBSOCKET_ENDPOINT, or read the streams.")
        module = importlib.import_module("turnlog.webpubsub")
        return module.WebSocketService(self.settings.websocket_endpoint, self.settings.websocket_hub)

    async def model(self) -> ModelClient:
        """The model client. Its first use imports the SDK and reads certificates: on a thread, so nothing waits."""
        if self._model is None:
            created = await asyncio.to_thread(self._new_model)
            self._model = self._model or created  # another call may have been faster
        return self._model

    def _new_model(self) -> ModelClient:
        if not self.settings.has_model:
            return UnconfiguredModelClient()
        module = importlib.import_module("turnlog.models.openai")
        key = self.settings.openai_api_key
        endpoint = module.Endpoint(
            base_url=self.settings.openai_base_url,
            api_key=None if key is None else key.get_secret_value(),
            is_azure=self.settings.calls_azure,
        )
        client: ModelClient
        if self.settings.model_api == "responses":
            client = importlib.import_module("turnlog.models.responses").ResponsesModelClient(endpoint)
        else:
            client = module.OpenAIModelClient(endpoint)
        if (telemetry := current_telemetry()) is None:
            return client
        return observe_model(telemetry, client, "azure.ai.openai" if self.settings.calls_azure else "openai")


@cache
def services() -> Services:
    """The process's services. Call this only while the event loop runs: what it opens belongs to that loop."""
    current = settings()
    stores, system = _open_stores(current)
    if (telemetry := current_telemetry()) is not None:
        stores = observed_stores(telemetry, stores, system)
    return Services(current, stores)


def _open_stores(current: Settings) -> tuple[Stores, str]:
    """The stores on one database, and the name of its kind in telemetry."""
    if current.cosmos_endpoint is not None:
        database, incarnation = current.cosmos_database, current.cosmos_incarnation
        return cosmos.open_stores(current.cosmos_endpoint, database, incarnation), "azure.cosmosdb"
    return sqlite.open_stores(current.data_dir / "sessions.db", current.sqlite_synchronous), "sqlite"
