"""Letting watchers in: who may see a session or a project may hear its group."""

from shared.domain.groups import project_group, session_group
from shared.domain.ids import ProjectId, SessionId
from shared.ports import Connection, GroupHub
from shared.services.projects import Projects
from shared.services.sessions import Sessions


class Fanout:
    def __init__(self, hub: GroupHub, sessions: Sessions, projects: Projects) -> None:
        self._hub = hub
        self._sessions = sessions
        self._projects = projects

    async def connection(self, owner: str, session_id: SessionId | None, project_id: ProjectId | None) -> Connection:
        """A connection that hears the session's group and the project's, of those that are named, and no other.

        Raises:
            SessionNotFoundError, ProjectNotFoundError: also for another owner's; nobody was let in then.
            FanoutUnavailableError
        """
        groups: list[str] = []
        if session_id is not None:
            groups.append(session_group((await self._sessions.get(owner, session_id)).session_id))
        if project_id is not None:
            groups.append(project_group((await self._projects.get(owner, project_id)).id))
        return await self._hub.admit(groups)
