"""The VibeCoder's hand on projects: patches applied once each, and what a turn has done to its project."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.agents.context import ToolContext
from shared.agents.registry import AGENTS
from shared.agents.vibecoder import propose_patch
from shared.domain.documents import Message, ToolResult
from shared.domain.errors import ProjectNotFoundError, RevisionTakenError
from shared.domain.events import VibecodeResponse
from shared.domain.ids import ProjectId
from shared.domain.patch import InvalidPatchError, Operation, patched
from shared.domain.project import AppliedPatch, Project
from shared.domain.session import SessionState
from shared.domain.values import ToolCall, ToolOutcome, TurnOutcome, Usage
from shared.ports import Clock, ProjectStore


@dataclass(frozen=True)
class Change:
    """A patch that a project holds, and the revision that it made."""

    patch: list[dict[str, Any]]
    revision: int

    @property
    def outcome(self) -> ToolOutcome:
        """What the call that proposed it gave."""
        return ToolOutcome(status="completed", response={"project_revision": self.revision})

    def noted(self, message: Message) -> Message:
        """The message with what its turn did."""
        return message.model_copy(update={"patch": self.patch, "project_revision": self.revision})


class Vibecoding:
    """Implements `shared.agents.context.ProjectEditor`."""

    def __init__(self, projects: ProjectStore, clock: Clock) -> None:
        self._projects = projects
        self._clock = clock

    async def apply(self, by: ToolContext, patch: Sequence[Operation]) -> int:
        while True:
            project = await self._project(by.project_id, by.owner)
            if (known := _applied_by(project, by.message_id)) is not None:
                if known.call_id == by.call_id:
                    return known.revision
                raise InvalidPatchError("This turn has applied its patch: one a turn, with all operations in it.")
            document = patched(project.document, patch, by.node_id)
            if document == project.document:
                return project.revision  # nothing that could happen twice, so there is nothing to remember
            changed = project.patched(self._clock.now(), document, by.message_id, by.call_id)
            try:
                await self._projects.replace(changed)
            except RevisionTakenError:
                continue
            return changed.revision

    async def briefing(self, state: SessionState) -> str:
        """What a model call has to know of the session's project, as it is now.

        Raises:
            ProjectNotFoundError: there is none.
        """
        project = await self._project(state.project_id, state.owner)
        document = json.dumps(project.document, ensure_ascii=False)
        told = f"The project's document, revision {project.revision}:\n{document}"
        if state.node_id is None:
            return told
        return f"{told}\nThis conversation is about one node. Change nothing but the node {json.dumps(state.node_id)}."

    async def change_by(self, state: SessionState, message_id: str, call: ToolCall | ToolResult) -> Change | None:
        """What a tool call has done to the session's project, whoever may have lived to record it."""
        if call.name != propose_patch.__name__ or state.project_id is None:
            return None
        project = await self._projects.get(ProjectId(state.project_id))
        known = None if project is None else _applied_by(project, message_id)
        if known is None or known.call_id != call.id:
            return None
        return Change(_operations_in(call.arguments), known.revision)

    async def closed(
        self, state: SessionState, message: Message, dangling: Sequence[ToolResult]
    ) -> tuple[Message, tuple[ToolResult, ...]]:
        """The message and its unanswered calls: one whose patch the project holds is recorded as what it is."""
        results: list[ToolResult] = []
        for result in dangling:
            change = await self.change_by(state, message.message_id, result)
            message = message if change is None else change.noted(message)
            results.append(result if change is None else result.model_copy(update={"outcome": change.outcome}))
        return message, tuple(results)

    async def response(
        self, state: SessionState, message: Message, status: TurnOutcome, usage: Usage
    ) -> VibecodeResponse | None:
        """What there is to tell of a VibeCoder's turn: of every one that completed or changed something."""
        agent = AGENTS.get(message.agent)
        if agent is None or not agent.works_on_project or (status != "completed" and message.patch is None):
            return None
        revision = message.project_revision
        if revision is None:
            project = await self._projects.get(ProjectId(state.project_id or ""))
            revision = 0 if project is None else project.revision
        return VibecodeResponse(patch=message.patch, token_usage=usage, project_revision=revision)

    async def _project(self, project_id: str | None, owner: str) -> Project:
        if project_id is None:
            raise ProjectNotFoundError("")
        project = await self._projects.get(ProjectId(project_id))
        if project is None or project.deleted or project.owner != owner:
            raise ProjectNotFoundError(project_id)
        return project


def _applied_by(project: Project, message_id: str) -> AppliedPatch | None:
    return next((applied for applied in project.applied if applied.message_id == message_id), None)


def _operations_in(arguments: str) -> list[dict[str, Any]]:
    """The patch in a propose_patch call that was carried out."""
    return [Operation.model_validate(each).members for each in json.loads(arguments)["patch"]]
