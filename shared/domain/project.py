"""A project: a JSON document that its sessions' agents work on, revision by revision."""

from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import AwareDatetime

from shared.domain.ids import MessageId, ProjectId, WriterId, new_writer_id
from shared.domain.values import Frozen, Ordinal

_MAX_APPLIED = 1000
_APPLIED_WITHIN = timedelta(hours=1)
"""How long a patch is remembered, so that it is applied once.

A turn ends by its deadline, at most 25 minutes after it began to run, and no execution of a tool outlives
functionTimeout, which is 30 more: whichever comes late finds the patch, however many others came between.
"""

_MAX_WRITERS = 50


class AppliedPatch(Frozen):
    """That a message's turn changed the document, by which tool call, when, and the revision this made."""

    message_id: MessageId
    call_id: str
    revision: Ordinal
    at: AwareDatetime | None = None


class Project(Frozen):
    """A project as it is stored. `revision` counts its changes; `changed_by` tells a change from an equal one.

    `changed_before` are who made the changes before that one, the newest last. `body_hash` is that of the request that
    made it, if it had an Idempotency-Key. A deleted one is a mark; once it is `emptied`, its sessions are deleted, too.
    """

    id: ProjectId
    owner: str
    name: str
    document: dict[str, Any]
    revision: Ordinal = 1
    applied: tuple[AppliedPatch, ...] = ()
    changed_by: WriterId
    changed_before: tuple[WriterId, ...] = ()
    body_hash: str | None = None
    deleted: bool = False
    emptied: bool = False
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @property
    def listing_key(self) -> str:
        """Where it stands in lists: by creation, then id."""
        return f"{self.created_at.isoformat()}|{self.id}"

    def was_changed_by(self, writer: WriterId) -> bool:
        """Whether this revision, or one of the last before it, is the work of `writer`."""
        return writer == self.changed_by or writer in self.changed_before

    def next_revision(self, at: datetime, **changes: Any) -> Self:
        """The next revision, by a writer of its own."""
        before = (*self.changed_before, self.changed_by)[-_MAX_WRITERS:]
        own = {"revision": self.revision + 1, "changed_by": new_writer_id(), "changed_before": before, "updated_at": at}
        return self.model_copy(update=changes | own)

    def patched(self, at: datetime, document: dict[str, Any], message_id: MessageId, call_id: str) -> Self:
        """The next revision, with the document that a turn's patch has made."""
        applied = AppliedPatch(message_id=message_id, call_id=call_id, revision=self.revision + 1, at=at)
        known = [each for each in self.applied if each.at is None or at - each.at < _APPLIED_WITHIN]
        return self.next_revision(at, document=document, applied=(*known, applied)[-_MAX_APPLIED:])
