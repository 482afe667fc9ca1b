"""The sync client: sessions, and the agents that answer in them."""

from collections.abc import Generator
from typing import Self, Unpack

import httpx2

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
from turnlog_client.session import Session
from turnlog_client.transport import LIMITS, Token, Transport
from turnlog_client.values import AgentList, Deletion, Message, Project, ProjectPage, SessionPage, UsageReport


class Client:
    """A client of one service, for threads; `AsyncClient` is the same for asyncio.

    `token` is a bearer token, or what returns one: it is asked before each request and connection, and once more after
    a 401. A request is sent `max_tries` times at most while the service is away or busy; a stream resumes without a
    limit. `http` sends the requests in place of a client of its own; it is not closed here.

    Raises:
        ValueError: `base_url` is not the URL of a server.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:7071",
        *,
        token: Token | None = None,
        max_tries: int = 4,
        http: httpx2.Client | None = None,
    ) -> None:
        url = checked_base(base_url)
        self._is_owner = http is None
        self._http = http or httpx2.Client(limits=LIMITS)
        self._transport = Transport(self._http, url, token, max_tries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._is_owner:
            self._http.close()

    def session(self, session_id: str) -> Session:
        """Return a session by its id; no request is made."""
        return Session(session_id, self._transport)

    def create_session(self, *, idempotency_key: str | None = None, **options: Unpack[CreateSession]) -> Session:
        """Create a session, with an id of your choice or of the service."""
        info = self._transport.send(requests.create_session(options, idempotency_key))
        return self.session(info["session_id"])

    def open_session(
        self, project_id: str, *, idempotency_key: str | None = None, **options: Unpack[OpenSession]
    ) -> Session:
        """Return the current session of a project or of one of its nodes; create it if there is none.

        One that is archived or deleted is not current. Calls at the same time get the same session.
        """
        info = self._transport.send(project_requests.open_session(project_id, options, idempotency_key))
        return self.session(info["session_id"])

    def list_sessions(self, **options: Unpack[ListSessions]) -> SessionPage:
        """List a page of your sessions, newest first."""
        return self._transport.send(requests.list_sessions(options))

    def get_message(self, message_id: str) -> Message:
        """Read a message with its answer, of whatever session."""
        return self._transport.send(requests.get_message(message_id))

    def list_agents(self) -> AgentList:
        """List the agents that can answer."""
        return self._transport.send(requests.list_agents())

    def create_project(
        self, name: str, *, idempotency_key: str | None = None, **options: Unpack[CreateProject]
    ) -> Project:
        """Create a project. Without a `document` it has one without nodes."""
        return self._transport.send(project_requests.create_project(name, options, idempotency_key))

    def list_projects(self, **options: Unpack[ListProjects]) -> ProjectPage:
        """List a page of your projects, newest first."""
        return self._transport.send(project_requests.list_projects(options))

    def get_project(self, project_id: str) -> Project:
        """Read a project with its document."""
        return self._transport.send(project_requests.get_project(project_id))

    def update_project(
        self, project_id: str, *, if_revision: int | None = None, **changes: Unpack[UpdateProject]
    ) -> Project:
        """Change the project; None removes a value. With `if_revision`, only if it still has this revision.

        Raises:
            ConflictError: it has another revision (`precondition_failed`). If an answer was lost before, that may be
                this change itself: read the project.
        """
        return self._transport.send(project_requests.update_project(project_id, changes, if_revision))

    def delete_project(self, project_id: str) -> Deletion | None:
        """Delete the project and its sessions. None: all are deleted; otherwise `get_deletion` says how far it is."""
        return self._transport.send(project_requests.delete_project(project_id))

    def get_deletion(self, project_id: str) -> Deletion:
        """Read how far the deletion of a project is."""
        return self._transport.send(project_requests.get_deletion(project_id))

    def get_project_usage(self, project_id: str) -> UsageReport:
        """Read what all sessions of the project used, also the deleted ones."""
        return self._transport.send(project_requests.get_project_usage(project_id))

    def room(self, project_id: str | None = None, options: StreamOptions | None = None) -> Generator[RoomFrame]:
        """Yield what happens in the sessions of a project, or in all of yours, without an end.

        Without a cursor (`after`) the first frame is `init`, with the sessions as they are now.
        """
        return self._transport.read(RoomReader(requests.room_path(project_id), options or StreamOptions()))
