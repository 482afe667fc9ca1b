"""The options of a project that concern the turns of its sessions: a budget and webhooks."""

from collections import OrderedDict
from datetime import datetime, timedelta

from turnlog.domain.ids import ProjectId, is_project_id
from turnlog.domain.project import Project
from turnlog.domain.session import SessionState
from turnlog.ports import Clock, ProjectStore

_TTL = timedelta(seconds=10)
_MAX_PROJECTS = 10_000


class ProjectOptions:
    """Finds the project of a session, if it has options.

    A process remembers for ten seconds that a project has none: its turns then cost no request. A change that this
    process makes counts at once, a change of another process within these ten seconds.
    """

    def __init__(self, store: ProjectStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._without = OrderedDict[ProjectId, datetime]()

    async def find(self, state: SessionState) -> Project | None:
        """The project of the session, if it exists, belongs to the session's owner and has options.

        A session may name any text as its project.
        """
        project_id, now = ProjectId(state.project_id or ""), self._clock.now()
        if not is_project_id(project_id) or now < self._without.get(project_id, now):
            return None
        project = await self._store.get(project_id)
        if project is None or project.deleted or project.owner_hash != state.owner_hash:
            return None
        if project.has_options:
            return project
        self._without[project_id] = now + _TTL
        self._without.move_to_end(project_id)
        if len(self._without) > _MAX_PROJECTS:
            self._without.popitem(last=False)
        return None

    def forget(self, project_id: ProjectId) -> None:
        """Read the project again: it was changed."""
        self._without.pop(project_id, None)
