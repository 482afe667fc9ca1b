"""The sessions of a project: the session of each node, opened or found; and the usage of all of them."""

import hashlib
from dataclasses import dataclass
from typing import Any

from turnlog.agents.registry import PROJECT_AGENT
from turnlog.domain.errors import ProjectNotFoundError, SessionDeletedError, SessionExistsError
from turnlog.domain.ids import ProjectId, SessionId, base32, bound_id
from turnlog.domain.session import SessionState
from turnlog.domain.usage import UsageSum
from turnlog.ports import SessionLog
from turnlog.services.log.idempotency import IdempotencyKey, claimed
from turnlog.services.projects.budgets import list_all_sessions
from turnlog.services.projects.projects import Projects
from turnlog.services.sessions import Sessions


@dataclass(frozen=True)
class Started:
    """A node's session. `found`: it was open before. `replayed`: an earlier request with the same key got it."""

    state: SessionState
    found: bool
    replayed: bool


class ProjectSessions:
    def __init__(self, log: SessionLog, projects: Projects, sessions: Sessions) -> None:
        self._log = log
        self._projects = projects
        self._sessions = sessions

    async def start(
        self,
        owner: str,
        project_id: ProjectId,
        node_id: str | None,
        fields: dict[str, Any],
        trace_id: str,
        *,
        key: IdempotencyKey | None = None,
    ) -> Started:
        """Open the session of a node, or find the open one. Without a node, the project's own session.

        Raises:
            ProjectNotFoundError, IdempotencyKeyReusedError
        """
        await self._projects.get(owner, project_id)
        async with claimed(self._log, key, project_id) as claim:
            state, found = await self._find_or_open(owner, project_id, node_id, fields, trace_id)
            return Started(state, found, replayed=found and claim.replayed)

    async def _find_or_open(
        self, owner: str, project_id: ProjectId, node_id: str | None, fields: dict[str, Any], trace_id: str
    ) -> tuple[SessionState, bool]:
        """Generations have no gaps, and creating the next one is the claim: of several requests, one creates it."""
        fields = {**fields, "project_id": project_id, "node_id": node_id}
        while True:
            generation, newest = await self._newest(owner, project_id, node_id)
            if newest is not None and _is_open(newest, owner, project_id, node_id):
                return newest, True
            session_id = generation_id(owner, project_id, node_id, generation + 1)
            try:
                state, _ = await self._sessions.create(owner, fields, session_id, trace_id)
            except (SessionExistsError, SessionDeletedError):
                continue  # another request was first: search again
            await self._delete_if_project_is(owner, project_id, state, trace_id)
            return state, False

    async def _delete_if_project_is(
        self, owner: str, project_id: ProjectId, state: SessionState, trace_id: str
    ) -> None:
        """Delete the new session if the project was deleted in between: that deletion may have missed the session."""
        try:
            await self._projects.get(owner, project_id)
        except ProjectNotFoundError:
            await self._sessions.delete(owner, state.session_id, trace_id)
            raise

    async def with_agent(self, owner: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of a new session. In a project of the owner's, the project's agent is the default.

        A `project_id` may also be only a label: then there is no document that a VibeCoder could work on.

        Raises:
            ProjectNotFoundError: the owner has deleted the project.
        """
        if (project_id := fields["project_id"]) is None:
            return fields
        project = await self._projects.find(owner, ProjectId(project_id))
        if project is not None and project.deleted:
            raise ProjectNotFoundError(project_id)
        if project is None or fields["agent_name"] is not None:
            return fields
        return {**fields, "agent_name": PROJECT_AGENT}

    async def usage(self, owner: str, project_id: ProjectId) -> UsageSum:
        """What all sessions of the project used, including the deleted ones.

        Raises:
            ProjectNotFoundError
        """
        project = await self._projects.get(owner, project_id)
        used = UsageSum(project.budget)
        async for state in list_all_sessions(self._log, project):
            used.add(state)
        return used

    async def _newest(self, owner: str, project_id: ProjectId, node_id: str | None) -> tuple[int, SessionState | None]:
        """The newest generation, found in steps that double and then halve; 0 if there is none."""
        low, newest, step = 0, None, 1
        while (state := await self._log.state(generation_id(owner, project_id, node_id, low + step))) is not None:
            low, newest, step = low + step, state, step * 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            state = await self._log.state(generation_id(owner, project_id, node_id, middle))
            if state is None:
                high = middle
            else:
                low, newest = middle, state
        return low, newest


def _is_open(state: SessionState, owner: str, project_id: ProjectId, node_id: str | None) -> bool:
    is_same = (state.owner, state.project_id, state.node_id) == (owner, project_id, node_id)
    return is_same and not state.archived and not state.deleted


def generation_id(owner: str, project_id: ProjectId, node_id: str | None, generation: int) -> SessionId:
    """The id of a node's session in a generation; without a node, of the project's own session."""
    text = "\n".join((project_id, node_id or "", str(generation)))
    return bound_id(owner, f"ses_{base32(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]))}")
