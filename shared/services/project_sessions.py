"""The sessions of a project: the one of each node, started or found again; and what all of them used."""

import hashlib
from dataclasses import dataclass
from typing import Any

from shared.agents.registry import PROJECT_AGENT
from shared.domain.errors import ProjectNotFoundError, SessionDeletedError, SessionExistsError
from shared.domain.ids import ProjectId, SessionId, base32
from shared.domain.listing import SessionFilter, listing_key
from shared.domain.session import SessionState
from shared.domain.usage import UsageSum
from shared.ports import SessionLog
from shared.services.idempotency import IdempotencyKey, claiming
from shared.services.projects import Projects
from shared.services.sessions import Sessions

_PAGE = 200


@dataclass(frozen=True)
class Started:
    """A node's session. `found`: it was open before. `replayed`: and an earlier request with the same key had it."""

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
        """Open the session of a node, or find the open one. Without a node, the project's own.

        Raises:
            ProjectNotFoundError, IdempotencyKeyReusedError
        """
        await self._projects.get(owner, project_id)
        async with claiming(self._log, key, project_id) as claim:
            state, found = await self._started(owner, project_id, node_id, fields, trace_id)
            return Started(state, found, replayed=found and claim.replayed)

    async def _started(
        self, owner: str, project_id: ProjectId, node_id: str | None, fields: dict[str, Any], trace_id: str
    ) -> tuple[SessionState, bool]:
        """Generations follow each other without a gap, and creating one is the claim: of many at once, one makes it."""
        fields = {**fields, "project_id": project_id, "node_id": node_id}
        while True:
            generation, newest = await self._newest(project_id, node_id)
            if newest is not None and _is_open(newest, owner, project_id, node_id):
                return newest, True
            session_id = generation_id(project_id, node_id, generation + 1)
            try:
                state, _ = await self._sessions.create(owner, fields, session_id, trace_id)
            except (SessionExistsError, SessionDeletedError):
                continue  # somebody else was first: look again
            await self._keep(owner, project_id, state, trace_id)
            return state, False

    async def _keep(self, owner: str, project_id: ProjectId, state: SessionState, trace_id: str) -> None:
        """Take the new session back if the project was deleted meanwhile: who deleted it may not have seen it."""
        try:
            await self._projects.get(owner, project_id)
        except ProjectNotFoundError:
            await self._sessions.delete(owner, state.session_id, trace_id)
            raise

    async def with_agent(self, owner: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of a new session; one of a project of the owner's gets its agent, unless another is named.

        A `project_id` may also be a mere label: there is nothing then for a VibeCoder to work on.
        """
        project_id = fields["project_id"]
        if project_id is None or fields["agent_name"] is not None:
            return fields
        try:
            await self._projects.get(owner, ProjectId(project_id))
        except ProjectNotFoundError:
            return fields
        return {**fields, "agent_name": PROJECT_AGENT}

    async def usage(self, owner: str, project_id: ProjectId) -> UsageSum:
        """What all sessions of the project used, those that are deleted included.

        Raises:
            ProjectNotFoundError
        """
        await self._projects.get(owner, project_id)
        wanted = SessionFilter(owner=owner, project_id=project_id, with_deleted=True)
        used, before = UsageSum(), None
        while found := await self._log.sessions(wanted, before=before, limit=_PAGE):
            for state in found:
                if state.is_complete:
                    used.add(state)
            before = listing_key(found[-1])
        return used

    async def _newest(self, project_id: ProjectId, node_id: str | None) -> tuple[int, SessionState | None]:
        """The newest generation there is, found in steps that double and then halve; 0 if there is none."""
        low, newest, step = 0, None, 1
        while (state := await self._log.state(generation_id(project_id, node_id, low + step))) is not None:
            low, newest, step = low + step, state, step * 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            state = await self._log.state(generation_id(project_id, node_id, middle))
            if state is None:
                high = middle
            else:
                low, newest = middle, state
        return low, newest


def _is_open(state: SessionState, owner: str, project_id: ProjectId, node_id: str | None) -> bool:
    is_ours = (state.owner, state.project_id, state.node_id) == (owner, project_id, node_id)
    return is_ours and not state.archived and not state.deleted


def generation_id(project_id: ProjectId, node_id: str | None, generation: int) -> SessionId:
    """The id of a node's session of a generation; without a node, of the project's own."""
    text = "\n".join((project_id, node_id or "", str(generation)))
    return SessionId(f"ses_{base32(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]))}")
