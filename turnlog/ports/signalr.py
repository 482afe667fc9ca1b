"""The port of SignalR, which pushes frames to groups of connected clients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Connection:
    """Where a client connects, and with which token. The token is short-lived and for one client."""

    url: str
    access_token: str


class SignalR(Protocol):
    """A service that sends messages to groups of connected clients."""

    async def admit(self, groups: Sequence[str]) -> Connection:
        """Prepare a connection that receives the frames of these groups and of no others.

        Raises PushUnavailableError: the service doesn't answer, or refuses the app.
        """
        ...

    async def close(self) -> None: ...
