"""The ports of Azure Web PubSub, which pushes frames to Socket.IO clients and to plain WebSockets.

Every method raises PushUnavailableError if the service does not answer, or refuses the app.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class SocketIoConnection:
    """Where a client of Socket.IO connects, and with which token. The token is short-lived."""

    url: str
    path: str
    token: str


class SocketIo(Protocol):
    """A service that Socket.IO clients connect to. A room is a name that clients do not see."""

    async def admit(self, user: str) -> SocketIoConnection:
        """Prepare a connection of `user`. Its sockets are in no room."""
        ...

    async def user_of(self, socket_id: str) -> str | None:
        """The user of an open socket."""
        ...

    async def join(self, socket_id: str, room: str) -> None: ...

    async def leave(self, socket_id: str, room: str) -> None: ...

    async def clear(self, room: str) -> None:
        """Remove all sockets from the room."""
        ...

    async def send(self, room: str, name: str, data: str) -> None:
        """Send an event to all sockets in the room. `data`, its argument, is JSON."""
        ...

    async def close(self) -> None: ...


class WebSockets(Protocol):
    """A service that WebSocket clients connect to."""

    async def admit(self, group: str) -> str:
        """The URL for one connection, which gets what is sent to the group. It holds a short-lived token."""
        ...

    async def send(self, group: str, text: str) -> None: ...

    async def close(self) -> None: ...
