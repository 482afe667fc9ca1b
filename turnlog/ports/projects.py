"""The port of the projects."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Protocol

from turnlog.domain.budget import Ledger
from turnlog.domain.ids import ProjectId
from turnlog.domain.project import Project


class ProjectStore(Protocol):
    """All projects. Every method raises StoreUnavailableError when the store doesn't answer."""

    async def create(self, project: Project) -> None:
        """Store a new project. Safe to repeat.

        Raises:
            ProjectExistsError: another project has this id.
        """
        ...

    async def get(self, project_id: ProjectId) -> Project | None:
        """The project as it is now, read strongly. A deleted one stays as a tombstone."""
        ...

    async def replace(self, project: Project) -> None:
        """Replace the stored project by `project`, which is its next revision. Safe to repeat.

        Raises:
            RevisionTakenError: another change was first; read on and decide again.
        """
        ...

    async def list(self, owner: str, *, before: str | None, limit: int) -> Sequence[Project]:
        """An owner's projects that are not deleted, newest first. `before` is the last page's last `listing_key`."""
        ...

    async def ledger(self, project_id: ProjectId) -> Ledger | None:
        """The account of the project's budget as it is now, read strongly; None if there is none."""
        ...

    async def put_ledger(self, ledger: Ledger) -> None:
        """Store `ledger`, whose version is the one after the stored version; the first version is 1.

        Raises:
            RevisionTakenError: another change was first, or this one was stored and its reply was lost: read on and
                decide again.
        """
        ...

    def due_deletions(self, by: datetime) -> AsyncGenerator[Project]:
        """All deleted projects whose `deletion_due` is not after `by`, the longest due first. Read page by page."""
        ...
