"""The settings of the services that push rooms to clients. Without an endpoint a service is off."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from turnlog.model_settings import is_url, split_list

_HUB = r"^[A-Za-z][A-Za-z0-9_]{0,127}$"


class PushSettings(BaseSettings):
    """The variables of Azure SignalR Service and Azure Web PubSub."""

    signalr_endpoint: str | None = Field(
        None,
        description="Azure SignalR Service for thousands of watchers; needs Cosmos DB (docs/use/signalr.md)",
    )
    signalr_hub: str = Field("turnlog", pattern=_HUB, description="hub of that service")
    socketio_endpoint: str | None = Field(
        None,
        description="Azure Web PubSub for Socket.IO in serverless mode; needs Cosmos DB (docs/use/push.md)",
    )
    socketio_hub: str = Field("turnlog", pattern=_HUB, description="hub of that service")
    socketio_access_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="its access keys, separated by commas: they sign what it sends to `POST /socketio/events`"
    )
    websocket_endpoint: str | None = Field(
        None, description="Azure Web PubSub, for plain WebSockets; needs Cosmos DB (docs/use/push.md)"
    )
    websocket_hub: str = Field("turnlog", pattern=_HUB, description="hub of that service")

    _keys_from_list = field_validator("socketio_access_keys", mode="before")(split_list)
    _push_urls = field_validator("signalr_endpoint", "socketio_endpoint", "websocket_endpoint")(is_url)

    def faults(self, *, has_feed: bool) -> list[str]:
        """What does not fit together. `has_feed`: there is the change feed, which all these services need."""
        endpoints = {
            "SIGNALR_ENDPOINT": (self.signalr_endpoint, "SignalR"),
            "SOCKETIO_ENDPOINT": (self.socketio_endpoint, "Web PubSub"),
            "WEBSOCKET_ENDPOINT": (self.websocket_endpoint, "Web PubSub"),
        }
        found = [
            f"{name} is set without COSMOS_ENDPOINT: the change feed of Cosmos DB feeds {service}"
            for name, (endpoint, service) in endpoints.items()
            if endpoint is not None and not has_feed
        ]
        if self.socketio_endpoint is not None and not self.socketio_access_keys:
            found.append("SOCKETIO_ENDPOINT is set without SOCKETIO_ACCESS_KEYS: nothing would prove who sends events")
        return found
