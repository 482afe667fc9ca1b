"""The VibeCoder's patches: each is applied to its project once, and recorded in its turn."""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from turnlog.agents.context import ToolContext
from turnlog.agents.registry import AGENTS
from turnlog.agents.vibecoder import propose_patch
from turnlog.domain.errors import ProjectNotFoundError, RevisionTakenError
from turnlog.domain.events import VibecodeResponse
from turnlog.domain.ids import MessageId, ProjectId
from turnlog.domain.patch import InvalidPatchError, Operation, patched
from turnlog.domain.project import AppliedPatch, Project
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import Message, ToolResult
from turnlog.domain.turn_events import closed_calls
from turnlog.domain.values import ToolCall, ToolOutcome, TurnOutcome, Usage
from turnlog.ports import Clock, ProjectStore


@dataclass(frozen=True)
class Change:
    """A patch that was applied to a project, and the revision that it created."""

    patch: list[dict[str, Any]]
    revision: int

    @property
    def outcome(self) -> ToolOutcome:
        """The outcome of the tool call that proposed it."""
        return ToolOutcome(status="completed", response={"project_revision": self.revision})

    def added_to(self, message: Message) -> Message:
        """`message` with the change that its turn made."""
        return message.model_copy(update={"patch": self.patch, "project_revision": self.revision})


class ProjectPatches:
    """Implements `turnlog.agents.context.ProjectEditor`."""

    def __init__(self, projects: ProjectStore, clock: Clock) -> None:
        self._projects = projects
        self._clock = clock

    async def apply(self, context: ToolContext, patch: Sequence[Operation]) -> int:
        while True:
            project = await self._load_project(context.project_id, context.owner)
            if (known := _applied_by(project, context.message_id)) is not None:
                if known.call_id == context.call_id:
                    return known.revision
                raise InvalidPatchError("This turn has already applied a patch: put all operations into one patch.")
            if project.is_fenced(context.message_id, context.call_id, context.attempt):
                raise InvalidPatchError("The call was given up: its turn has ended, or a later attempt has begun.")
            document = patched(project.document, patch, context.node_id)
            if document == project.document:
                return project.revision  # no record is needed: the same patch changes nothing again
            changed = project.patched(self._clock.now(), document, context.message_id, context.call_id)
            try:
                await _finish(self._projects.replace(changed))
            except RevisionTakenError:
                continue
            return changed.revision

    async def describe_project(self, state: SessionState) -> str:
        """The text about the session's project for a model call, with the current document.

        Raises:
            ProjectNotFoundError: the session has no project, or the project was deleted.
        """
        project = await self._load_project(state.project_id, state.owner)
        document = json.dumps(project.document, ensure_ascii=False)
        text = f"The project's document, revision {project.revision}:\n{document}"
        if state.node_id is None:
            return text
        return f"{text}\nThis conversation is about one node. Change only the node {json.dumps(state.node_id)}."

    async def find_change(self, state: SessionState, message_id: str, call: ToolCall) -> Change | None:
        """The change that a tool call made to the session's project. None if it made none.

        The project knows it, even if the execution that applied the patch could not record it in the log.
        """
        if call.name != propose_patch.__name__ or state.project_id is None:
            return None
        project = await self._projects.get(ProjectId(state.project_id))
        known = None if project is None else _applied_by(project, message_id)
        if known is None or known.call_id != call.id:
            return None
        return Change(_operations_in(call.arguments), known.revision)

    async def settle(
        self, state: SessionState, message_id: MessageId, call: ToolCall, attempt: int | None = None
    ) -> Change | None:
        """The change that a call made, before its outcome is recorded. If it made none, none will follow.

        An execution of an earlier attempt may be suspended in front of its write. So the project refuses the attempts
        below `attempt` from here on; without one, all attempts at the call.
        """
        change = await self.find_change(state, message_id, call)
        is_first = attempt == 1
        if change is not None or is_first or call.name != propose_patch.__name__ or state.project_id is None:
            return change
        while (project := await self._projects.get(ProjectId(state.project_id))) is not None:
            is_other = project.deleted or project.owner != state.owner
            is_applied = _applied_by(project, message_id) is not None
            last = None if attempt is None else attempt - 1
            if is_other or is_applied or project.is_fenced(message_id, call.id, last):
                break
            with suppress(RevisionTakenError):
                await self._projects.replace(project.fenced(self._clock.now(), message_id, call.id, last))
        return await self.find_change(state, message_id, call)

    async def close_calls(
        self, state: SessionState, message: Message, step: int, calls: Sequence[ToolCall]
    ) -> tuple[Message, tuple[ToolResult, ...]]:
        """The message, and the answers to open calls of a step. If a call's patch was applied, the answer says so."""
        results: list[ToolResult] = []
        turn = state.active_turn
        for call, result in zip(calls, closed_calls(calls, message, step), strict=True):
            # A call that did not begin has no execution that could be suspended.
            has_begun = turn is not None and call.id in turn.tools
            find = self.settle if has_begun else self.find_change
            change = await find(state, message.message_id, call)
            message = message if change is None else change.added_to(message)
            results.append(result if change is None else result.model_copy(update={"outcome": change.outcome}))
        return message, tuple(results)

    async def build_response(
        self, state: SessionState, message: Message, status: TurnOutcome, usage: Usage
    ) -> VibecodeResponse | None:
        """The event about a VibeCoder's turn, if the turn completed or changed something."""
        agent = AGENTS.get(message.agent)
        if agent is None or not agent.works_on_project or (status != "completed" and message.patch is None):
            return None
        revision = message.project_revision
        if revision is None:
            project = await self._projects.get(ProjectId(state.project_id or ""))
            revision = 0 if project is None else project.revision
        return VibecodeResponse(patch=message.patch, token_usage=usage, project_revision=revision)

    async def _load_project(self, project_id: str | None, owner: str) -> Project:
        if project_id is None:
            raise ProjectNotFoundError(None)
        project = await self._projects.get(ProjectId(project_id))
        if project is None or project.deleted or project.owner != owner:
            raise ProjectNotFoundError(project_id)
        return project


async def _finish(write: Awaitable[None]) -> None:
    """Wait for `write`, also if this task is cancelled: then its outcome decides what is recorded."""
    writing = asyncio.ensure_future(write)
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait([writing])
        if not writing.cancelled():
            writing.exception()  # whether it was written is read from the project
        raise


def _applied_by(project: Project, message_id: str) -> AppliedPatch | None:
    return next((applied for applied in project.applied if applied.message_id == message_id), None)


def _operations_in(arguments: str) -> list[dict[str, Any]]:
    """The patch of an executed propose_patch call."""
    return [Operation.model_validate(each).members for each in json.loads(arguments)["patch"]]
