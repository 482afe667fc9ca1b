"""What a tool may know of the call it runs for, and reach through it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.ids import MessageId, SessionId
from shared.domain.patch import Operation


class ProjectEditor(Protocol):
    """The projects, as far as a tool may change them."""

    async def apply(self, by: "ToolContext", patch: Sequence[Operation]) -> int:
        """Apply `patch` to the call's project, once however often the call is run; the revision that this made.

        Raises:
            InvalidPatchError: it can't be applied, or the turn has applied another one; nothing was changed.
            ProjectNotFoundError: the session has no project that there is.
        """
        ...


@dataclass(frozen=True)
class ToolContext:
    """The call that a tool runs for. A tool function that names it as its first parameter is given it."""

    session_id: SessionId
    owner: str
    message_id: MessageId
    call_id: str
    projects: ProjectEditor
    project_id: str | None = None
    node_id: str | None = None
