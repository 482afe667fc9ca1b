"""What a tool knows about its call, and what it can change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from turnlog.domain.ids import MessageId, PublicId
from turnlog.domain.patch import Operation


class ProjectEditor(Protocol):
    """Changes to projects by tools."""

    async def apply(self, context: "ToolContext", patch: Sequence[Operation]) -> int:
        """Apply `patch` to the call's project, and return the new revision. A repeated call applies it once.

        Raises:
            InvalidPatchError: it can't be applied, or the turn has applied another patch. Nothing was changed.
            ProjectNotFoundError: the session has no project, or the project was deleted.
        """
        ...


@dataclass(frozen=True)
class ToolContext:
    """The call that a tool runs for. A tool function gets it if its first parameter is annotated `ToolContext`.

    `attempt` is a fencing token: a system that has seen a call's attempt refuses all lower ones. An execution that was
    suspended may still run when the next attempt at its call has begun.
    """

    session_id: PublicId
    owner: str
    message_id: MessageId
    call_id: str
    attempt: int
    projects: ProjectEditor
    project_id: str | None = None
    node_id: str | None = None
