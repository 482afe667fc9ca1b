"""The async client, as `turnlog_client.client`."""

from collections.abc import AsyncGenerator
from typing import Self, Unpack

import httpx2

from turnlog_client.aio.session import AsyncSession
from turnlog_client.aio.transport import AsyncToken, AsyncTransport
from turnlog_client.events import RoomFrame
from turnlog_client.protocol import requests
from turnlog_client.protocol.readers import RoomReader, StreamOptions
from turnlog_client.protocol.tries import checked_base
from turnlog_client.transport import LIMITS
from turnlog_client.values import AgentList, CreateSession, ListSessions, Project, SessionPage


class AsyncClient:
    """A client of one service, for asyncio; `Client` is the same for threads.

    `token` is a bearer token, or what returns one, also as an awaitable: it is asked before each request and
    connection, and once more after a 401. A request is sent `max_tries` times at most while the service is away or
    busy; a stream resumes without a limit. `http` sends the requests in place of a client of its own; it is not closed
    here.

    Raises:
        ValueError: `base_url` is not the URL of a server.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:7071",
        *,
        token: AsyncToken | None = None,
        max_tries: int = 4,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        url = checked_base(base_url)
        self._is_owner = http is None
        self._http = http or httpx2.AsyncClient(limits=LIMITS)
        self._transport = AsyncTransport(self._http, url, token, max_tries)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._is_owner:
            await self._http.aclose()

    def session(self, session_id: str) -> AsyncSession:
        """Return a session by its id; no request is made."""
        return AsyncSession(session_id, self._transport)

    async def create_session(
        self, *, idempotency_key: str | None = None, **options: Unpack[CreateSession]
    ) -> AsyncSession:
        """Create a session, with an id of your choice or of the service."""
        info = await self._transport.send(requests.create_session(options, idempotency_key))
        return self.session(info["session_id"])

    async def list_sessions(self, **options: Unpack[ListSessions]) -> SessionPage:
        """List a page of your sessions, newest first."""
        return await self._transport.send(requests.list_sessions(options))

    async def list_agents(self) -> AgentList:
        """List the agents that can answer."""
        return await self._transport.send(requests.list_agents())

    async def get_project(self, project_id: str) -> Project:
        """Read a project with its document."""
        return await self._transport.send(requests.get_project(project_id))

    def room(self, project_id: str | None = None, options: StreamOptions | None = None) -> AsyncGenerator[RoomFrame]:
        """Yield what happens in the sessions of a project, or in all of yours, without an end.

        Without a cursor (`after`) the first frame is `init`, with the sessions as they are now.
        """
        return self._transport.read(RoomReader(requests.room_path(project_id), options or StreamOptions()))
