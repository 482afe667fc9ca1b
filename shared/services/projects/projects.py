"""Projects: create, get, list, change, delete."""

import hashlib
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.domain.errors import (
    IdempotencyKeyReusedError,
    PreconditionFailedError,
    ProjectExistsError,
    ProjectNotFoundError,
    RevisionTakenError,
    SessionNotFoundError,
)
from shared.domain.ids import ProjectId, base32, is_project_id, new_project_id, new_writer_id
from shared.domain.listing import SessionFilter, decode_cursor, encode_cursor, listing_key
from shared.domain.project import Project
from shared.domain.project_document import EMPTY_DOCUMENT, validated_document
from shared.ports import Clock, ProjectStore, SessionLog
from shared.services.idempotency import IdempotencyKey
from shared.services.sessions import Sessions, merge_patch

_SESSIONS_PER_READ = 100


@dataclass(frozen=True)
class ProjectPage:
    projects: Sequence[Project]
    next_cursor: str | None


class Projects:
    def __init__(self, store: ProjectStore, log: SessionLog, sessions: Sessions, clock: Clock) -> None:
        self._store = store
        self._log = log
        self._sessions = sessions
        self._clock = clock

    async def create(
        self, owner: str, name: str, document: Any = None, key: IdempotencyKey | None = None
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
        project = await self._store.get(project_id) if is_project_id(project_id) else None
        if project is None or project.deleted or project.owner != owner:
            raise ProjectNotFoundError(project_id)
        return project

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
        """Change name and document by `patch` (RFC 7396), if the project is at one of `revisions`.

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

    async def delete(self, owner: str, project_id: ProjectId, trace_id: str) -> None:
        """Delete the project, then its sessions. After a crash the sweep deletes the remaining sessions."""
        while True:
            project = await self.get(owner, project_id)
            tombstone = project.tombstone(self._clock.now())
            with suppress(RevisionTakenError):
                await self._store.replace(tombstone)
                await self._delete_sessions(tombstone, trace_id)
                return

    async def sweep(self, tombstone: Project, grace: timedelta) -> None:
        """Delete the remaining sessions of a deleted project. After `grace` no request can create one any more."""
        await self._delete_sessions(tombstone, None)
        if self._clock.now() - tombstone.updated_at >= grace:
            await self._replace(tombstone.model_copy(update={"emptied": True}))

    async def _delete_sessions(self, tombstone: Project, trace_id: str | None) -> None:
        wanted = SessionFilter(owner=tombstone.owner_hash, project_id=tombstone.id)
        before = None
        while found := await self._log.sessions(wanted, before=before, limit=_SESSIONS_PER_READ):
            for state in found:
                try:
                    await self._sessions.delete(state.owner, state.session_id, trace_id)
                except SessionNotFoundError:
                    continue  # already deleted
            before = listing_key(found[-1])

    async def _replace(self, project: Project) -> Project:
        """Write `project` as the revision after its own."""
        changed = project.next_revision(self._clock.now())
        await self._store.replace(changed)
        return changed


def _patched(project: Project, patch: dict[str, Any]) -> Project:
    changes: dict[str, Any] = {"name": patch["name"]} if "name" in patch else {}
    if "document" in patch:
        merged = merge_patch(project.document, patch["document"])
        changes["document"] = EMPTY_DOCUMENT if merged is None else validated_document(merged, "/document")
    return project.model_copy(update=changes)


def _project_id_for(key: IdempotencyKey) -> ProjectId:
    digest = hashlib.sha256(key.id.encode()).digest()
    return ProjectId(f"prj_{base32(int.from_bytes(digest[:16]))}")
