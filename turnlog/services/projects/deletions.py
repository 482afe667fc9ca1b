"""Deleting a project: the project is marked as deleted, then its sessions are deleted page by page.

Each page is stored in the project before its sessions are deleted. So every step may be repeated: after a crash the
same page is deleted again, and nothing is counted twice.
"""

import asyncio
import logging
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias

from turnlog.domain.deletion import Deletion
from turnlog.domain.errors import (
    DeletionNotFoundError,
    ProjectNotFoundError,
    RevisionTakenError,
    SessionNotFoundError,
    StoreUnavailableError,
)
from turnlog.domain.ids import ProjectId, SessionId
from turnlog.domain.listing import SessionFilter, listing_key
from turnlog.domain.pages import Page
from turnlog.domain.project import Project
from turnlog.domain.session import SessionState
from turnlog.ports import Clock, DeletionScheduler, ProjectStore, SessionIndex
from turnlog.services.backoff import Backoff
from turnlog.services.projects.projects import Projects
from turnlog.services.sessions import Sessions
from turnlog.timings import Timings

_PAGE = 100
_AT_ONCE = 4  # sessions; turns need the throughput of the store as well
_MAX_SWEEP = timedelta(minutes=2)

PageOutcome: TypeAlias = Literal["more", "done", "failed", "superseded"]
"""`more`: another page is next. `done`: no session is left. `failed`: some could not be deleted; the sweep continues.
`superseded`: another instance deletes the sessions."""

_log = logging.getLogger(__name__)


@dataclass
class Deletions:
    """Deletes projects, `page_size` sessions in one step. Two instances at once do no harm."""

    projects: Projects
    store: ProjectStore
    index: SessionIndex
    sessions: Sessions
    clock: Clock
    timings: Timings
    page_size: int = _PAGE
    backoff: Backoff[ProjectId] = field(default_factory=Backoff[ProjectId])

    async def request(self, owner: str, project_id: ProjectId, trace_id: str, scheduler: DeletionScheduler) -> Deletion:
        """Mark the project as deleted, in one write, and delete its first page of sessions.

        If there are more, an instance deletes them. A request for a project that is being deleted joins the deletion.

        Raises:
            ProjectNotFoundError: there is no such project, it is another owner's, or its deletion has ended.
        """
        project, is_joined = await self._mark(owner, project_id, trace_id)
        if not is_joined:
            project = await self._delete_first_page(project)
        deletion = _deletion_of(project)
        if deletion.ended_at is None:
            await scheduler.start(project.id, deletion)
        return deletion

    async def progress(self, owner: str, project_id: ProjectId) -> Deletion:
        """How far the deletion of a project is.

        Raises:
            DeletionNotFoundError: there is no such project, it is another owner's, or it is not deleted.
        """
        project = await self.projects.find(owner, project_id)
        if project is None or project.deletion is None:
            raise DeletionNotFoundError(project_id)
        return project.deletion

    async def delete_page(
        self, project_id: ProjectId, generation: int, scheduler: DeletionScheduler, *, is_last: bool
    ) -> PageOutcome:
        """Delete the current page of sessions, for the instance of this generation.

        If it is the instance's last page and there are more, the next instance is started.
        """
        while True:
            project = await self.store.get(project_id)
            if project is None or project.deletion is None or project.deletion.generation != generation:
                return "superseded"
            if project.deletion.ended_at is not None:
                return "done"
            with suppress(RevisionTakenError):
                advanced = _deletion_of(await self._advance(project, is_last=is_last))
                if advanced.page and is_last:
                    await scheduler.start(project_id, advanced)
                return _outcome_of(advanced)

    async def sweep(self, scheduler: DeletionScheduler) -> None:
        """Continue the deletions whose instance is silent, and look for sessions that were opened late.

        Raises:
            StoreUnavailableError: the deletions that are due cannot be read.
        """
        began = self.clock.now()
        async with aclosing(self.store.due_deletions(began)) as due:
            async for project in due:
                if self.clock.now() - began >= _MAX_SWEEP:
                    break
                if self.backoff.is_waiting(project.id, self.clock.now()):
                    continue
                try:
                    await self._resume(project, scheduler)
                except Exception:  # noqa: BLE001  # one that cannot be continued must not keep the others waiting
                    pause = self.backoff.failed(project.id, self.clock.now())
                    _log.exception("the deletion of project %s cannot continue; tried again in %s", project.id, pause)
                else:
                    self.backoff.succeeded(project.id)

    async def _mark(self, owner: str, project_id: ProjectId, trace_id: str) -> tuple[Project, bool]:
        """The project's tombstone, and whether it was deleted before."""
        while True:
            project = await self.projects.find(owner, project_id)
            if project is None or (project.deletion is not None and project.deletion.ended_at is not None):
                raise ProjectNotFoundError(project_id)
            if project.deletion is not None:
                return project, True
            now = self.clock.now()
            deletion = Deletion(requested_at=now, trace_id=trace_id, due_at=now + self.timings.start_grace)
            tombstone = project.tombstone(now, deletion)
            with suppress(RevisionTakenError):
                await self.store.replace(tombstone)
                return tombstone, False

    async def _delete_first_page(self, project: Project) -> Project:
        """The tombstone after the first page. The project is deleted already: what fails now is done by an instance."""
        try:
            listed = await self._advance(project)
            return listed if _deletion_of(listed).ended_at is not None else await self._advance(listed)
        except RevisionTakenError:  # another request has joined, and started an instance
            return await self.store.get(project.id) or project
        except StoreUnavailableError as error:
            _log.warning("project %s is deleted, and its sessions later: %s", project.id, error)
            return project

    async def _advance(self, project: Project, *, is_last: bool = False) -> Project:
        """Delete the sessions of the current page, and store which are next. `is_last`: for another instance.

        Raises:
            RevisionTakenError: another execution was first.
        """
        before = _deletion_of(project)
        deletion = before.page_deleted(await self._delete_sessions(project, before))
        page = await self._list(project, deletion.after)
        if not page and deletion.after is not None and not deletion.failed:
            page = await self._list(project, None)  # some may have been opened since their page was read
        now, pause = self.clock.now(), self.timings.lost_after
        if page:
            deletion = deletion.next_page([state.session_id for state in page], listing_key(page[-1]), now + pause)
            deletion = deletion.handed_over() if is_last else deletion
        elif deletion.failed:
            deletion = deletion.next_pass().stalled(now, pause)
        else:
            deletion = deletion.checked(now, pause, self._grace)
        return await self._store_deletion(project, deletion)

    async def _delete_sessions(self, project: Project, deletion: Deletion) -> int:
        """Delete the sessions of the current page, and return how many of them failed."""
        slots = asyncio.Semaphore(_AT_ONCE)
        is_available = True

        async def delete(session_id: SessionId) -> int:
            nonlocal is_available
            async with slots:
                if not is_available:
                    return 0  # the page is not finished, and is tried again as a whole
                try:
                    await self.sessions.delete_listed(session_id, deletion.trace_id)
                except SessionNotFoundError:
                    pass  # deleted before
                except StoreUnavailableError as error:
                    if error.retryable:
                        is_available = False
                        raise
                    _log.exception("session %s of project %s could not be deleted", session_id, project.id)
                    return 1
                except Exception:  # noqa: BLE001  # one that cannot be deleted must not keep the others
                    _log.exception("session %s of project %s could not be deleted", session_id, project.id)
                    return 1
                return 0

        results = await asyncio.gather(*map(delete, deletion.page), return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors:
            raise errors[0]
        return sum(result for result in results if isinstance(result, int))

    @property
    def _grace(self) -> timedelta:
        """How long after the last session a request that began earlier may still open or copy one."""
        return max(self.timings.clear_after, self.timings.lost_after)

    async def _resume(self, project: Project, scheduler: DeletionScheduler) -> None:
        now, pause = self.clock.now(), self.timings.lost_after
        deletion = _deletion_of(project)
        if deletion.ended_at is not None:
            page = await self._list(project, None)
            if not page:
                checked = deletion.checked(now, pause, self._grace)
                with suppress(RevisionTakenError):
                    await self._store_deletion(project, checked)
                return
            deletion = deletion.next_page([state.session_id for state in page], listing_key(page[-1]), now)
        stalled = deletion.stalled(now, pause)
        with suppress(RevisionTakenError):  # it is not silent any more
            await self._store_deletion(project, stalled)
            _log.info("the deletion of project %s continues with instance %s", project.id, stalled.generation)
            await scheduler.start(project.id, stalled)

    async def _list(self, project: Project, before: str | None) -> Page[SessionState]:
        wanted = SessionFilter(owner=project.owner_hash, project_id=project.id)
        return await self.index.sessions(wanted, before=before, limit=self.page_size)

    async def _store_deletion(self, project: Project, deletion: Deletion) -> Project:
        changed = project.next_revision(self.clock.now(), deletion=deletion)
        await self.store.replace(changed)
        return changed


def _deletion_of(project: Project) -> Deletion:
    if project.deletion is None:
        raise ProjectNotFoundError(project.id)  # it was never marked: no caller of this module does that
    return project.deletion


def _outcome_of(deletion: Deletion) -> PageOutcome:
    if deletion.page:
        return "more"
    return "failed" if deletion.ended_at is None else "done"
