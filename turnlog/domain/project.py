"""A project: a JSON document that the agents of its sessions change, revision by revision."""

from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import AwareDatetime

from turnlog.domain.budget import Budget
from turnlog.domain.deletion import Deletion
from turnlog.domain.ids import MessageId, OwnerHash, ProjectId, WriterId, new_writer_id, owner_hash
from turnlog.domain.project_document import EMPTY_DOCUMENT
from turnlog.domain.values import Frozen, Ordinal
from turnlog.domain.webhooks import Webhook

_MAX_APPLIED = 1000
_APPLIED_TTL = timedelta(hours=1)
"""How long an applied patch is kept in the project, so that it is applied only once.

A turn ends by its deadline, at most 25 minutes after its start. No execution of a tool outlives functionTimeout, which
is 30 minutes more. So even a late execution finds the patch, however many other patches came between.
"""

_MAX_WRITERS = 50


class AppliedPatch(Frozen):
    """A patch that the turn of a message applied: by which tool call, when, and the revision that it created."""

    message_id: MessageId
    call_id: str
    revision: Ordinal
    at: AwareDatetime | None = None


class PatchFence(Frozen):
    """Attempts at a tool call that may apply no patch any more: those up to `attempt`, or all if it is None."""

    message_id: MessageId
    call_id: str
    attempt: Ordinal | None = None
    at: AwareDatetime


class Project(Frozen):
    """A project as it is stored. `revision` counts its changes. `changed_by` distinguishes it from an equal change.

    `changed_before` are the writers of the changes before, the newest last. `body_hash` is the hash of the creating
    request's body, if that had an Idempotency-Key. A deleted project remains as a tombstone, with its `deletion`. Its
    `owner` is only the hash of its owner.
    """

    id: ProjectId
    owner: str
    name: str
    document: dict[str, Any]
    budget: Budget | None = None
    webhooks: tuple[Webhook, ...] = ()
    revision: Ordinal = 1
    applied: tuple[AppliedPatch, ...] = ()
    fences: tuple[PatchFence, ...] = ()
    changed_by: WriterId
    changed_before: tuple[WriterId, ...] = ()
    body_hash: str | None = None
    deletion: Deletion | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @property
    def owner_hash(self) -> OwnerHash:
        return OwnerHash(self.owner) if self.deleted else owner_hash(self.owner)

    @property
    def listing_key(self) -> str:
        """The key by which projects are sorted in lists: creation time, then id."""
        return f"{self.created_at.isoformat()}|{self.id}"

    @property
    def deleted(self) -> bool:
        return self.deletion is not None

    @property
    def has_options(self) -> bool:
        """Whether the turns of its sessions have to read the project."""
        return self.budget is not None or bool(self.webhooks)

    @property
    def deletion_due(self) -> float:
        """When the sweep has to look at the deletion, in seconds since 1970; 0: never."""
        due_at = None if self.deletion is None else self.deletion.due_at
        return 0 if due_at is None else due_at.timestamp()

    def was_changed_by(self, writer: WriterId) -> bool:
        """Whether `writer` wrote this revision or one of the last before it."""
        return writer == self.changed_by or writer in self.changed_before

    def next_revision(self, at: datetime, **changes: Any) -> Self:
        """The next revision, with a new writer id."""
        before = (*self.changed_before, self.changed_by)[-_MAX_WRITERS:]
        own = {"revision": self.revision + 1, "changed_by": new_writer_id(), "changed_before": before, "updated_at": at}
        return self.model_copy(update=changes | own)

    def tombstone(self, at: datetime, deletion: Deletion) -> Self:
        """The next revision, deleted: without all that people and models wrote."""
        left: dict[str, Any] = {"owner": self.owner_hash, "name": "", "document": EMPTY_DOCUMENT, "body_hash": None}
        return self.next_revision(at, deletion=deletion, applied=(), fences=(), budget=None, webhooks=(), **left)

    def patched(self, at: datetime, document: dict[str, Any], message_id: MessageId, call_id: str) -> Self:
        """The next revision, with the document after a turn's patch."""
        applied = AppliedPatch(message_id=message_id, call_id=call_id, revision=self.revision + 1, at=at)
        known = [each for each in self.applied if each.at is None or at - each.at < _APPLIED_TTL]
        return self.next_revision(at, document=document, applied=(*known, applied)[-_MAX_APPLIED:])

    def is_fenced(self, message_id: MessageId, call_id: str, attempt: int | None) -> bool:
        """Whether `attempt` at a call may apply no patch any more. None: whether no attempt may."""
        return any(
            fence.attempt is None or (attempt is not None and attempt <= fence.attempt)
            for fence in self.fences
            if (fence.message_id, fence.call_id) == (message_id, call_id)
        )

    def fenced(self, at: datetime, message_id: MessageId, call_id: str, attempt: int | None) -> Self:
        """The next revision, with the same document, which refuses these attempts.

        It is a revision of its own: a suspended write then finds its revision taken.
        """
        fence = PatchFence(message_id=message_id, call_id=call_id, attempt=attempt, at=at)
        known = [each for each in self.fences if at - each.at < _APPLIED_TTL]
        return self.next_revision(at, fences=(*known, fence)[-_MAX_APPLIED:])
