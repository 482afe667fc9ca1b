"""The async client, as `turnlog_client.client`."""

from collections.abc import AsyncGenerator
from typing import Self, Unpack

import httpx2

from turnlog_client.aio.session import AsyncSession
from turnlog_client.aio.transport import AsyncToken, AsyncTransport
from turnlog_client.events import RoomFrame
from turnlog_client.options import (
    CreateProject,
    CreateSession,
    ListProjects,
    ListSessions,
    OpenSession,
    UpdateProject,
)
from turnlog_client.protocol import project_requests, requests
from turnlog_client.protocol.readers import RoomReader, StreamOptions
from turnlog_client.protocol.tries import checked_base
from turnlog_client.transport import LIMITS
from turnlog_client.values import AgentList, Deletion, Message, Project, ProjectPage, SessionPage, UsageReport


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

    async def open_session(
        self, project_id: str, *, idempotency_key: str | None = None, **options: Unpack[OpenSession]
    ) -> AsyncSession:
        """Return the current session of a project or of one of its nodes; create it if there is none.

        One that is archived or deleted is not current. Calls at the same time get the same session.
        """
        info = await self._transport.send(project_requests.open_session(project_id, options, idempotency_key))
        return self.session(info["session_id"])

    async def list_sessions(self, **options: Unpack[ListSessions]) -> SessionPage:
        """List a page of your sessions, newest first."""
        return await self._transport.send(requests.list_sessions(options))

    async def get_message(self, message_id: str) -> Message:
        """Read a message with its answer, of whatever session."""
        return await self._transport.send(requests.get_message(message_id))

    async def list_agents(self) -> AgentList:
        """List the agents that can answer."""
        return await self._transport.send(requests.list_agents())

    async def create_project(
        self, name: str, *, idempotency_key: str | None = None, **options: Unpack[CreateProject]
    ) -> Project:
        """Create a project. Without a `document` it has one without nodes."""
        return await self._transport.send(project_requests.create_project(name, options, idempotency_key))

    async def list_projects(self, **options: Unpack[ListProjects]) -> ProjectPage:
        """List a page of your projects, newest first."""
        return await self._transport.send(project_requests.list_projects(options))

    async def get_project(self, project_id: str) -> Project:
        """Read a project with its document."""
        return await self._transport.send(project_requests.get_project(project_id))

    async def update_project(
        self, project_id: str, *, if_revision: int | None = None, **changes: Unpack[UpdateProject]
    ) -> Project:
        """Change the project; None removes a value. With `if_revision`, only if it still has this revision.

        Raises:
            ConflictError: it has another revision (`precondition_failed`). If an answer was lost before, that may be
                this change itself: read the project.
        """
        return await self._transport.send(project_requests.update_project(project_id, changes, if_revision))

    async def delete_project(self, project_id: str) -> Deletion | None:
        """Delete the project and its sessions. None: all are deleted; otherwise `get_deletion` says how far it is."""
        return await self._transport.send(project_requests.delete_project(project_id))

    async def get_deletion(self, project_id: str) -> Deletion:
        """Read how far the deletion of a project is."""
        return await self._transport.send(project_requests.get_deletion(project_id))

    async def get_project_usage(self, project_id: str) -> UsageReport:
        """Read what all sessions of the project used, also the deleted ones."""
        return await self._transport.send(project_requests.get_project_usage(project_id))

    def room(self, project_id: str | None = None, options: StreamOptions | None = None) -> AsyncGenerator[RoomFrame]:
        """Yield what happens in the sessions of a project, or in all of yours, without an end.

        Without a cursor (`after`) the first frame is `init`, with the sessions as they are now.
        """
        return self._transport.read(RoomReader(requests.room_path(project_id), options or StreamOptions()))
