"""Projects: create, get, list, change."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from turnlog.domain.budget import Budget
from turnlog.domain.errors import (
    IdempotencyKeyReusedError,
    PreconditionFailedError,
    ProjectExistsError,
    ProjectNotFoundError,
    RevisionTakenError,
)
from turnlog.domain.ids import ProjectId, base32, is_project_id, new_project_id, new_writer_id, owner_hash
from turnlog.domain.listing import decode_cursor, encode_cursor
from turnlog.domain.project import Project
from turnlog.domain.project_document import EMPTY_DOCUMENT, validated_document
from turnlog.domain.webhooks import Webhook, merge_webhooks
from turnlog.ports import Clock, ProjectStore
from turnlog.services.log.idempotency import IdempotencyKey
from turnlog.services.projects.options import ProjectOptions
from turnlog.services.sessions import merge_patch


@dataclass(frozen=True)
class ProjectPage:
    projects: Sequence[Project]
    next_cursor: str | None


class Projects:
    def __init__(self, store: ProjectStore, clock: Clock, options: ProjectOptions) -> None:
        self._store = store
        self._clock = clock
        self._options = options

    async def create(
        self,
        owner: str,
        name: str,
        document: Any = None,
        key: IdempotencyKey | None = None,
        *,
        budget: Budget | None = None,
        webhooks: Sequence[tuple[Webhook, bool]] = (),
    ) -> tuple[Project, bool]:
        """Create a project. If a request with the same key created it before, return that one and True.

        Raises:
            InvalidDocumentError, IdempotencyKeyReusedError
            ProjectExistsError: the project that this key created was deleted.
        """
        now = self._clock.now()
        project = Project(
            # The id is derived from the key, so that a retry finds the project of the first try.
            id=new_project_id(now) if key is None else _project_id_for(key),
            owner=owner,
            name=name,
            document=EMPTY_DOCUMENT if document is None else validated_document(document, "/document"),
            budget=budget,
            webhooks=merge_webhooks((), webhooks),
            changed_by=new_writer_id(),
            body_hash=None if key is None else key.body_hash,
            created_at=now,
            updated_at=now,
        )
        try:
            await self._store.create(project)
        except ProjectExistsError:
            return await self._find_created(project), True
        return project, False

    async def _find_created(self, project: Project) -> Project:
        existing = await self._store.get(project.id)
        if existing is None or existing.deleted or existing.owner != project.owner:
            raise ProjectExistsError(project.id)
        if existing.body_hash != project.body_hash:
            raise IdempotencyKeyReusedError
        return existing

    async def get(self, owner: str, project_id: ProjectId) -> Project:
        """The project as it is now.

        Raises:
            ProjectNotFoundError: it does not exist, was deleted, or is another owner's.
        """
        project = await self.find(owner, project_id)
        if project is None or project.deleted:
            raise ProjectNotFoundError(project_id)
        return project

    async def find(self, owner: str, project_id: ProjectId) -> Project | None:
        """The owner's project, or its tombstone; None if there is none."""
        project = await self._store.get(project_id) if is_project_id(project_id) else None
        return None if project is None or project.owner_hash != owner_hash(owner) else project

    async def list(self, owner: str, cursor: str | None, limit: int) -> ProjectPage:
        """A page of projects, newest first.

        Raises:
            InvalidCursorError: the cursor did not come from this list.
        """
        before = None if cursor is None else decode_cursor(cursor)
        found = await self._store.list(owner, before=before, limit=limit + 1)
        page = found[:limit]
        next_cursor = encode_cursor(page[-1].listing_key) if len(found) > limit else None
        return ProjectPage(page, next_cursor)

    async def update(
        self, owner: str, project_id: ProjectId, patch: dict[str, Any], revisions: Collection[int] | None = None
    ) -> Project:
        """Change the fields of `patch` (RFC 7396; webhooks as accepted), if the project is at one of `revisions`.

        Raises:
            ProjectNotFoundError, InvalidDocumentError
            PreconditionFailedError: it is at another revision, and the patch would change it.
        """
        while True:
            project = await self.get(owner, project_id)
            changed = _patched(project, patch)
            # Before the condition: a retry after a successful first try finds its own change (RFC 9110, 13.1.1).
            if changed == project:
                return project
            if revisions is not None and project.revision not in revisions:
                raise PreconditionFailedError(
                    f"The project is at revision {project.revision}: read it and decide again."
                )
            try:
                return await self._replace(changed)
            except RevisionTakenError:
                continue

    async def _replace(self, project: Project) -> Project:
        """Write `project` as the revision after its own."""
        changed = project.next_revision(self._clock.now())
        await self._store.replace(changed)
        self._options.forget(changed.id)
        return changed


def _patched(project: Project, patch: dict[str, Any]) -> Project:
    changes: dict[str, Any] = {"name": patch["name"]} if "name" in patch else {}
    if "document" in patch:
        merged = merge_patch(project.document, patch["document"])
        changes["document"] = EMPTY_DOCUMENT if merged is None else validated_document(merged, "/document")
    if "budget" in patch:
        changes["budget"] = None if patch["budget"] is None else Budget(**patch["budget"])
    if "webhooks" in patch:
        changes["webhooks"] = merge_webhooks(project.webhooks, patch["webhooks"])
    return project.model_copy(update=changes)


def _project_id_for(key: IdempotencyKey) -> ProjectId:
    digest = hashlib.sha256(key.id.encode()).digest()
    return ProjectId(f"prj_{base32(int.from_bytes(digest[:16]))}")
